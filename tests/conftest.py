"""What holds for every test."""

from hypothesis import settings

# A loaded machine is slow, and that is no fault of what is tested.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
