"""``python -m tests.faults.skewed.executor``."""

from runpy import run_module

from tests.faults.skewed import skew

if __name__ == "__main__":
    skew()
    run_module("services.executor", run_name="__main__")
