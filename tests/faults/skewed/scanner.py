"""``python -m tests.faults.skewed.scanner``."""

from runpy import run_module

from tests.faults.skewed import skew

if __name__ == "__main__":
    skew()
    run_module("services.scanner", run_name="__main__")
