"""Says where an error is that no mistake of the catalogue explains."""

from .locate import locate as locate
from .wording import describe_location as describe_location
