"""Decisions of the scanner. Values in, values out: no await, no clock, no logger."""
