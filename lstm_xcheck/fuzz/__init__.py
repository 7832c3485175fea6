"""Fuzzing: draws cases, shrinks a disagreement, names its mistake, writes a test of it."""

from .explain import explain as explain
from .reproducer import CannotReproduce as CannotReproduce
from .reproducer import reproducer as reproducer
from .search import Budget as Budget
from .search import Finding as Finding
from .search import Search as Search
