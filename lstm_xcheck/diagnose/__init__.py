"""Names the mistake that explains wrong outputs."""

from .catalogue import CATALOGUE as CATALOGUE
from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import full_explanation as full_explanation
from .mistake import Mistake as Mistake
from .search import diagnose as diagnose
