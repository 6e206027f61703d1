"""Tests of the oracle's parts, one by one: no kernel is checked whole, and none is compiled."""
