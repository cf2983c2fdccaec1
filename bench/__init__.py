"""Benchmarks. They print what they measured; nothing is asserted about time."""
