"""Benchmarks. They print what they measured; nothing is asserted about time.

A local stack that was started for tests has a Spark server that is quick to start and never becomes as fast as it can
be: start it with ``AUTOLOADER_DEV_SPARK_PEAK=1`` to measure.
"""
