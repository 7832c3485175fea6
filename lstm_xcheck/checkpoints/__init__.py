"""Files: every LSTM of a checkpoint in canonical form. Loads no format's library until a file needs it."""

from .protocol import Checkpoint as Checkpoint
from .protocol import Found as Found
from .protocol import OtherTensor as OtherTensor
from .protocol import Reader as Reader
from .registry import FORMATS as FORMATS
from .registry import Format as Format
from .registry import load as load
from .registry import read_checkpoint as read_checkpoint
from .writing import write_checkpoint as write_checkpoint
