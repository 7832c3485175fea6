"""Results of one environment, recorded to be judged in another."""

from .model import Answer as Answer
from .model import Question as Question
from .model import Recording as Recording
from .model import RecordingError as RecordingError
from .schema import SCHEMA as SCHEMA
from .schema import encode as encode
from .schema import read as read
