"""Names the mistake that explains wrong outputs."""

from .catalogue import CATALOGUE as CATALOGUE
from .mistake import Mistake as Mistake
from .diagnosis import Diagnosis as Diagnosis
from .search import diagnose as diagnose
