"""The engine: plans, runs them in workers, emits events."""

from .grid import grid as grid
from .grid import parse_grid as parse_grid
from .plan import Plan as Plan
from .plan import choose_entries as choose_entries
from .plan import with_compiling as with_compiling
from .presets import preset as preset
from .recipe import CaseOrRecipe as CaseOrRecipe
from .recipe import Recipe as Recipe
from .recipe import with_gradients as with_gradients
from .run import run as run
from .run import run_functions as run_functions
