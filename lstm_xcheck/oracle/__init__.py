"""The float64 truth and the rounding an honest implementation may commit."""

from .driven import Driven as Driven
from .driven import drive as drive
from .forward import forward as forward
from .gradients import Gradients as Gradients
from .gradients import gradients as gradients
from .profiles import PROFILES as PROFILES
from .profiles import Profile as Profile
from .profiles import profile_named as profile_named
from .profiles import rougher_than as rougher_than
