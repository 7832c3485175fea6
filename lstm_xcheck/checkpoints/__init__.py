"""Reads and writes the LSTMs of checkpoints in canonical form."""

from typing import TYPE_CHECKING, Any

from .formats import FORMATS as FORMATS
from .formats import Format as Format
from .formats import load as load
from .formats import read_checkpoint as read_checkpoint
from .model import Checkpoint as Checkpoint
from .model import FoundLSTM as FoundLSTM
from .model import OtherTensor as OtherTensor

if TYPE_CHECKING:
    from .write import write_checkpoint as write_checkpoint


def __getattr__(name: str) -> Any:
    """`write_checkpoint`, which readers need not load."""
    if name != "write_checkpoint":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .write import write_checkpoint as found

    return found
