"""Fuzzing of whatever reads bytes that others wrote: ``python -m tools.fuzz``; ``docs/fuzzing.md`` is about it."""
