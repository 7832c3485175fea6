"""Scores of test suites: how many mistakes they would catch."""

from .hosts import HOSTS as HOSTS
from .score import ONNX_NODE_TESTS as ONNX_NODE_TESTS
from .score import Score as Score
from .score import Suite as Suite
from .score import score as score
