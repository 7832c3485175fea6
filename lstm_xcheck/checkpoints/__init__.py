"""Files: every LSTM of a checkpoint in canonical form. Loads no format's library until a file needs it."""

from typing import TYPE_CHECKING, Any

from .protocol import Checkpoint as Checkpoint
from .protocol import Found as Found
from .protocol import OtherTensor as OtherTensor
from .protocol import Reader as Reader
from .registry import FORMATS as FORMATS
from .registry import Format as Format
from .registry import load as load
from .registry import read_checkpoint as read_checkpoint

if TYPE_CHECKING:
    from .writing import write_checkpoint as write_checkpoint


def __getattr__(name: str) -> Any:
    """`write_checkpoint`, which readers need not load."""
    if name != "write_checkpoint":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .writing import write_checkpoint as found

    return found
