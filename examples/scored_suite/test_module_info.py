"""What torch's own tests of modules compare of `torch.nn.LSTM`: its samples with the functions that they name.

torch 2.13, test/test_modules.py, `test_forward`, which is in no package; the samples are. Needs expecttest.
"""

import pytest
import torch
from torch.testing._internal.common_modules import module_db

(INFO,) = (info for info in module_db if info.module_cls is torch.nn.LSTM)
torch.manual_seed(0)
SAMPLES = INFO.module_inputs_func(INFO, device="cpu", dtype=torch.float32, requires_grad=False, training=False)


@pytest.mark.parametrize("sample", SAMPLES)
def test_forward(sample):
    """The module against itself, with a batch of one."""
    module = torch.nn.LSTM(*sample.constructor_input.args, **sample.constructor_input.kwargs)
    given = sample.forward_input
    expected = sample.reference_fn(module, *given.args, **given.kwargs)
    torch.testing.assert_close(module(*given.args, **given.kwargs), expected)
