"""Tells training state, such as optimizer moments, from the model."""

from __future__ import annotations

import re

from ..tensor_info import TensorInfo

#: What training leaves in a file beside the model: optimizers' slots, learning rates, states of random generators.
#: As the first part of a name in a tree; a state dict that is no container has layers of such names.
_STATE_FIRST = re.compile(r"(?:optim|optimizer|opt_state|lr_scheduler|rngs?)(?:_[a-z]+)*")
_STATE_ANYWHERE = re.compile(r"seed_generator(_state)?|rngs")
#: The same as entries of a checkpoint that is a dict of containers, by the names that people and trainers give them.
_CONTAINER = re.compile(
    r"(?:\w*_)?(?:optimi[sz]er\w*|optims?(?:_\w+)?|scheduler\w*"
    r"|(?:opt|sched|rng|amp|scaler|grad_?scaler|scaling|callback|loop|hparam|hyper_?parameter|metric)s?"
    r"(?:_?states?)?(?:_dicts?)?)",
    re.IGNORECASE,
)
#: Single numbers beside them: how long was trained, and how well.
_COUNTER = re.compile(
    r"best_\w+|(?:\w+_)?(?:epochs?|steps?|iters?|iterations?|loss|acc|accuracy|score|lr|learning_rate)", re.IGNORECASE
)


def is_training_state(tensor: TensorInfo) -> bool:
    """Whether a tensor belongs to training alone.

    `optimizer/vars/3` does, and `state.0.exp_avg` within `optim_state_dict`; `layers/dense/vars/0` does not, nor does
    the layer of a state dict that is called `scaler`.
    """
    parts = re.split(r"[./]", tensor.name)
    if _COUNTER.fullmatch(tensor.name) and tensor.shape == ():
        return True
    if _CONTAINER.fullmatch(re.split(r"[./]", tensor.scope)[0]):
        return True
    return bool(_STATE_FIRST.fullmatch(parts[0])) or any(_STATE_ANYWHERE.fullmatch(part) for part in parts[:-1])
