"""Programs and libraries of any language as adapters."""

from .entries import LIBRARY as LIBRARY
from .entries import PROGRAM as PROGRAM
from .entries import Implementation as Implementation
from .entries import library as library
from .entries import parse as parse
from .entries import program as program
