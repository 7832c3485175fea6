"""The search for disagreements: draw cases, shrink what disagrees, name the mistake, write a test that shows it."""

from .explain import explain as explain
from .reproducer import CannotReproduce as CannotReproduce
from .reproducer import reproducer as reproducer
from .search import Budget as Budget
from .search import Finding as Finding
from .search import Search as Search
