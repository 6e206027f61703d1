"""Kernels that are not ours: C libraries, other people's Python and programs behind a pipe, each in its own process."""
