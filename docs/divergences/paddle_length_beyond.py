"""paddle.nn.LSTM writes beyond its arrays where a length exceeds the steps, and the process aborts."""

import subprocess
import sys

CODE = """
import sys
import paddle
layer = paddle.nn.LSTM(5, 4, direction="bidirect")
layer(paddle.ones([2, 7, 5]), sequence_length=paddle.to_tensor([7, int(sys.argv[1])]))
"""
found, right = (
    subprocess.run([sys.executable, "-W", "ignore", "-c", CODE, length], capture_output=True, check=False).returncode
    for length in ("9", "7")
)
print("found:", "killed by a signal" if found < 0 else found, " right: exit code", right, "or a refusal")
assert right == 0
assert found < 0, "the divergence is gone"
