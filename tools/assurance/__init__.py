"""The index of what q35ref claims and what holds each claim: ``python -m tools.assurance`` writes docs/assurance.md."""
