"""The float64 oracle and its bounds on honest rounding."""

from .backward import BackwardPass as BackwardPass
from .backward import Direction as Direction
from .backward import StepRecord as StepRecord
from .forward import forward as forward
from .forward import merge_halves as merge_halves
from .gradients import Found as Found
from .gradients import Gradients as Gradients
from .gradients import Stack as Stack
from .gradients import gradients as gradients
from .gradients import with_roundings as with_roundings
from .honest_envelope import HonestErrors as HonestErrors
from .honest_envelope import honest_errors as honest_errors
from .honest_envelope import honest_outputs as honest_outputs
from .layer_map import LayerMap as LayerMap
from .monte_carlo import Roundings as Roundings
from .observed_tanh import observed_tanh as observed_tanh
from .precision_profiles import DECLARED as DECLARED
from .precision_profiles import PROFILES as PROFILES
from .precision_profiles import Profile as Profile
from .precision_profiles import profile_named as profile_named
from .precision_profiles import rougher_than as rougher_than
from .teacher_forced import TeacherForced as TeacherForced
from .teacher_forced import teacher_force as teacher_force
