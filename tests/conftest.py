"""What Hypothesis makes up is the same in every run of the tests: a gate judges the change, it does not look for new
examples. ``make property`` does that."""

from hypothesis import settings

# Properties are judged by what they find, not by how busy the machine is.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile("gate")
