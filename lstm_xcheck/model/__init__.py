"""The model of an LSTM: spec, weights, case and result."""

from .case import Case as Case
from .lazy_weights import DeferredWeights as DeferredWeights
from .loss import Cotangents as Cotangents
from .loss import cotangents as cotangents
from .loss import gradient_names as gradient_names
from .result import QUANTITIES as QUANTITIES
from .result import Result as Result
from .spec import GATES as GATES
from .spec import LSTMSpec as LSTMSpec
from .weights import CellWeights as CellWeights
from .weights import LSTMWeights as LSTMWeights
