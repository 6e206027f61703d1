"""Tests of the oracle's parts, one by one: no kernel is run in a process of its own."""
