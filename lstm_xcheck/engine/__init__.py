"""The engine: grids of cases, workers, and the events of a run."""

from .grid import Recipe as Recipe
from .grid import asking_gradients as asking_gradients
from .grid import grid as grid
from .grid import parse_grid as parse_grid
from .presets import preset as preset
from .run import Plan as Plan
from .run import choose_entries as choose_entries
from .run import run as run
from .run import run_functions as run_functions
from .work_queue import for_repeats as for_repeats
