"""Decisions of the executor. Values in, values out: no await, no clock, no logger."""
