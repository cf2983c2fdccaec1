"""``python -m tests.faults.unruly.executor``."""

from runpy import run_module

from tests.faults.unruly import be_unruly

if __name__ == "__main__":
    be_unruly()
    run_module("services.executor", run_name="__main__")
