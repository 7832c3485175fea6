"""Layouts: how frameworks store an LSTM, and conversion by rows of data."""

from .counts import ParameterCount as ParameterCount
from .counts import count_parameters as count_parameters
from .counts import explain_count as explain_count
from .gradients import gradients_from_layout as gradients_from_layout
from .read import from_layout as from_layout
from .read import read_cell as read_cell
from .read import spec_of as spec_of
from .table import TABLE as TABLE
from .table import Layout as Layout
from .table import Tensor as Tensor
from .table import layout_named as layout_named
from .write import adapt_bias as adapt_bias
from .write import adapt_cell as adapt_cell
from .write import stored_cell as stored_cell
from .write import to_layout as to_layout
