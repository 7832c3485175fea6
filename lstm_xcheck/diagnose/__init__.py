"""Names the mistake that explains wrong outputs."""

from .catalogue import CATALOGUE as CATALOGUE
from .diagnosis import Diagnosis as Diagnosis
from .mistake import Mistake as Mistake
from .search import diagnose as diagnose
