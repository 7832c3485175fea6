"""Verdicts on results, from error bounds and never from tolerances."""

from .judge import judge as judge
from .verdict import SEVERITY as SEVERITY
from .verdict import VERDICTS as VERDICTS
from .verdict import CountRow as CountRow
from .verdict import Row as Row
from .verdict import Verdict as Verdict
from .verdict import VerdictName as VerdictName
from .verdict import worst_of as worst_of
