"""Settings of the test run, and nothing else.

Strict numerics need no code here: pytest turns every warning into an error (pyproject.toml), so an overflow, a
division by zero or an invalid value that NumPy would only warn of fails its test. Underflow is part of honest
LSTM arithmetic and stays silent. The package's pytest plugin is named here for checkouts that are not installed; its
entry point has the same name, so that it is registered once. What JAX compiles is kept for the length of the run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

from hypothesis import settings

pytest_plugins = ["pytester", "lstm_xcheck.pytest_plugin"]

# The same examples in every run; `--hypothesis-profile deep` searches further, afresh each time.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.load_profile("default")

# In the background of a shell Ctrl-C is ignored, and would be by the commands, too, that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "LSTM_XCHECK_CACHE" not in os.environ:
    os.environ["LSTM_XCHECK_CACHE"] = tempfile.mkdtemp(prefix="lstm-xcheck-cache-")
    atexit.register(shutil.rmtree, os.environ["LSTM_XCHECK_CACHE"], ignore_errors=True)
