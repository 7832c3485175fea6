"""paddle.nn.LSTM without biases ends the process (SIGSEGV), though it takes bias_ih_attr=False."""

import subprocess
import sys

CODE = """
import paddle
layer = paddle.nn.LSTM(1, 1, bias_ih_attr=False, bias_hh_attr=False)
print("right: biases", [name for name in layer.state_dict() if "bias" in name], flush=True)
layer(paddle.ones([1, 1, 1]))
"""
ran = subprocess.run([sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=False)
print("found: exit code", ran.returncode, "", ran.stdout.strip())
assert ran.returncode < 0, "the divergence is gone"
