"""Shows results in terminals, notebooks, data frames and plots."""

from .libraries import data_frame as data_frame
from .libraries import pyplot as pyplot
from .summary import Shown as Shown
from .summary import Summary as Summary
from .summary import figure as figure
