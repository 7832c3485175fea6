"""Layouts: how frameworks store an LSTM, and conversion by rows of data."""

from .convert import adapt_bias as adapt_bias
from .convert import adapt_cell as adapt_cell
from .convert import from_layout as from_layout
from .convert import stored_cell as stored_cell
from .convert import to_layout as to_layout
from .counts import ParameterCount as ParameterCount
from .counts import count_parameters as count_parameters
from .counts import explain_count as explain_count
from .gradients import gradients_from_layout as gradients_from_layout
from .shapes import read_cell as read_cell
from .shapes import spec_of as spec_of
from .table import TABLE as TABLE
from .table import Layout as Layout
from .table import layout_named as layout_named
