"""Says where an error is that no mistake of the catalogue explains."""

from .locate import locate as locate
from .step_profile import step_profile as step_profile
from .wording import describe_location as describe_location
