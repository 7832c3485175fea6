"""Reads and writes the LSTMs of checkpoints in canonical form.

Names are loaded on first use: a codec alone loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .formats import FORMATS as FORMATS
    from .formats import Format as Format
    from .formats import load as load
    from .formats import read_checkpoint as read_checkpoint
    from .model import Checkpoint as Checkpoint
    from .model import FoundLSTM as FoundLSTM
    from .model import OtherTensor as OtherTensor
    from .write import write_checkpoint as write_checkpoint

_HOMES = {
    "formats": ("FORMATS", "Format", "load", "read_checkpoint"),
    "model": ("Checkpoint", "FoundLSTM", "OtherTensor"),
    "write": ("write_checkpoint",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
