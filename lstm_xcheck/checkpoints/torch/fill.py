"""Fills a PyTorch checkpoint through PyTorch itself.

This file alone among the checkpoints imports torch.
Source: torch 2.13.0, torch/serialization.py (`save`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError
from ..codecs.limits import escape
from ..template import Template


def fill_state(path: Path, template: Template) -> None:
    """Writes the template's file with its tensors replaced."""
    state = _filled(template)
    # Through a file object: given a path, torch writes the file's name into the file.
    try:
        with path.open("xb") as file:
            torch.save(state, file)
    except RuntimeError as error:  # what torch makes of an OSError in its own writer
        raise OSError(f"{escape(str(error).splitlines()[0])}; is the disk full?") from error


def _tensor(array: Any, dtype: str) -> Any:
    """A read-only tensor; bfloat16 comes as exact float32."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(getattr(torch, dtype))


def _filled(template: Template) -> Any:
    like = template.path
    new = {place: _tensor(array, dtype) for place, (array, dtype) in template.values.items()}
    try:
        state = torch.load(like, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler does
        raise CheckpointError(f"--like {like} cannot be loaded ({escape(error)}); save its state_dict()") from error
    left = set(new)
    state = _replace(state, "", new, left)
    if left:
        raise CheckpointError(f"--like {like}: {escape(min(left))} is not where torch loads it; save its state_dict()")
    return state


def _replace(value: Any, name: str, new: Mapping[str, Any], left: set[str]) -> Any:
    """The containers with some tensors replaced, by joined names."""
    if name in new and isinstance(value, torch.Tensor):
        left.discard(name)
        kept: Any = torch.nn.Parameter(new[name]) if isinstance(value, torch.nn.Parameter) else new[name]
        return kept
    inner = f"{name}." if name else ""
    if isinstance(value, Mapping):
        for key in list(value):
            value[key] = _replace(value[key], f"{inner}{key}", new, left)  # type: ignore[index]
    elif isinstance(value, list):
        value[:] = [_replace(item, f"{inner}{k}", new, left) for k, item in enumerate(value)]
    return value
