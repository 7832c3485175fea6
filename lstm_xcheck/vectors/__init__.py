"""Test vectors: the fewest small cases that show every mistake."""

from .candidates import Wanted as Wanted
from .cover import Vector as Vector
from .cover import VectorSet as VectorSet
from .cover import find_vectors as find_vectors
from .expected import Expected as Expected
from .expected import expected_outputs as expected_outputs
from .statement import Statement as Statement
