"""What each runtime does with each feature of an LSTM, from real runs."""

from .model import Atlas as Atlas
from .model import Cell as Cell
from .run import draw as draw
from .run import plan_of as plan_of
