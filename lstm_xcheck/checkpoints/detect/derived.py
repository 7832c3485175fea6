"""Computes the weights of an LSTM that a file stores in another form.

A reparametrised PyTorch module stores what its weight is computed from. Each row of the table is one such form; the
weight is computed in float64 and rounded once.
Source: torch 2.13.0, torch/nn/utils (weight_norm.py, spectral_norm.py, prune.py, parametrizations.py) and
torch/ao/nn/quantizable/modules/rnn.py (split_gates); awd-lstm-lm, weight_drop.py; fastai 2.8, text/models/awdlstm.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...arrays import Array, round_to
from ..codecs.limits import FLOAT_SIZES
from ..tensor_info import TensorInfo

Shape = tuple[int, ...]

#: The tensors of torch.nn.LSTM and LSTMCell.
OWN_NAME = r"(?:weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l[0-9]{1,3}(?:_reverse)?)?"


@dataclass(frozen=True)
class _Form:
    """One form in which a weight is stored.

    Attributes:
        names: of the tensors it is computed from, with `{}` for the weight's own name; the last part of their paths.
        fits: whether tensors of these shapes are of this form; the weight has the shape of the largest.
        compute: the weight in float64, from the tensors in float64.
        note: what was done; empty where nothing was computed.
    """

    names: tuple[str, ...]
    fits: Callable[[Sequence[Shape]], bool]
    compute: Callable[[Sequence[Array]], Array]
    note: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The first name, with its prefix and own name."""
        before, _, after = self.names[0].partition("{}")
        return re.compile(
            rf"(?P<prefix>(?:.*[./])?){re.escape(before)}(?P<own>{OWN_NAME}){re.escape(after)}", re.DOTALL
        )


def _normalised(arrays: Sequence[Array]) -> Array:
    """g v / |v|, the norm over the axes where g has one number."""
    g, v = arrays
    axes = tuple(axis for axis in range(v.ndim) if not g.ndim or g.shape[axis] == 1)
    with np.errstate(all="ignore"):
        return np.asarray(g * (v / np.sqrt((v * v).sum(axis=axes, keepdims=bool(g.ndim)))))


def _is_scaled(shapes: Sequence[Shape]) -> bool:
    g, v = shapes
    if len(v) == 1:  # the norm of a bias is that of each of its numbers
        return g in ((), v)
    return not g or (len(g) == len(v) == 2 and all(n in (1, m) for n, m in zip(g, v, strict=True)))


def _by_largest(arrays: Sequence[Array]) -> Array:
    """W / (u W v), u and v being the stored singular vectors."""
    w, u, v = arrays
    with np.errstate(all="ignore"):
        return np.asarray(w / (u @ w @ v))


_WEIGHT_NORM = "weight_norm was applied: g v / |v|"
_SPECTRAL_NORM = "spectral_norm was applied, with its stored vectors as in eval()"

_FORMS = (
    _Form(("{}_g", "{}_v"), _is_scaled, _normalised, _WEIGHT_NORM),
    _Form(
        ("parametrizations.{}.original0", "parametrizations.{}.original1"), _is_scaled, _normalised, _WEIGHT_NORM
    ),
    _Form(
        ("{}_orig", "{}_mask"), lambda s: s[0] == s[1], lambda a: np.asarray(a[0] * a[1]),
        "the mask of pruning was applied",
    ),
    _Form(("{}_orig", "{}_u", "{}_v"), lambda s: s[0] == (*s[1], *s[2]), _by_largest, _SPECTRAL_NORM),
    _Form(
        ("parametrizations.{}.original", "parametrizations.{}.0._u", "parametrizations.{}.0._v"),
        lambda s: s[0] == (*s[1], *s[2]), _by_largest, _SPECTRAL_NORM,
    ),
    _Form(
        ("{}_raw",), lambda s: True, lambda a: a[0],
        "the weights before dropout (DropConnect), which eval() computes with",
    ),
)  # fmt: skip

#: What torch.nn.utils.parametrize puts before the tensors of a weight.
_PARAMETRISED = re.compile(rf"(?P<prefix>(?:.*[./])?)parametrizations\.(?P<own>{OWN_NAME})\.", re.DOTALL)


#: The tensors of a weight that is stored in some form.
_IN_A_FORM = re.compile(
    rf"(?P<prefix>(?:.*[./])?)(?:parametrizations\.(?P<inner>{OWN_NAME})\..+|(?P<own>{OWN_NAME})_(?!l[0-9]|reverse)[^./]+)",
    re.DOTALL,
)
_PLAIN = re.compile(rf"(?P<prefix>(?:.*[./])?){OWN_NAME}", re.DOTALL)


def in_a_form(tensors: Sequence[TensorInfo]) -> dict[str, list[TensorInfo]]:
    """The tensors of each weight that is stored in some form, known or not."""
    stored: dict[str, list[TensorInfo]] = {}
    for tensor in tensors:
        match = None if _PLAIN.fullmatch(tensor.name) else _IN_A_FORM.fullmatch(tensor.name)
        if match:
            stored.setdefault(match["prefix"] + (match["inner"] or match["own"]), []).append(tensor)
    return stored


def derived_tensors(tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
    """The weights that can be computed from these tensors, under their plain names."""
    by_name = {tensor.name: tensor for tensor in tensors}
    families: dict[str, set[str]] = {}
    for name in by_name:
        match = _PARAMETRISED.match(name)
        if match:
            families.setdefault(match[0], set()).add(name)
    return [*_of_forms(by_name, families), *_of_split_gates(by_name)]


def _of_forms(by_name: Mapping[str, TensorInfo], families: Mapping[str, set[str]]) -> Iterator[TensorInfo]:
    modules = _modules(by_name)
    for form in _FORMS:
        pattern = form.pattern
        for name in by_name:
            match = pattern.fullmatch(name)
            if not match:
                continue
            names = [match["prefix"] + part.format(match["own"]) for part in form.names]
            parts = [by_name[part] for part in names if part in by_name]
            other = families.get(f"{match['prefix']}parametrizations.{match['own']}.", set()) - set(names)
            if len(parts) < len(names) or other or not form.fits([part.shape for part in parts]):
                continue
            # The LSTM's other tensors are here or, as in fastai, one module deeper.
            inner = modules.get(match["prefix"], set())
            module = next(iter(inner)) if len(inner) == 1 else ""
            yield _derived(match["prefix"] + module + match["own"], parts, form.compute, f"{match['own']}: {form.note}")


def _modules(names: Iterable[str]) -> dict[str, set[str]]:
    """The modules with LSTM weights, by what they are in; "" for that itself."""
    modules: dict[str, set[str]] = {}
    for prefix in {match["prefix"] for name in names if (match := _PLAIN.fullmatch(name))}:
        outer = re.match(r"(?:.*[./])?(?=[^./]*[./]$)", prefix, re.DOTALL)
        modules.setdefault(prefix, set()).add("")
        if prefix and outer:
            modules.setdefault(outer[0], set()).add(prefix[outer.end() :])
    return modules


def _derived(
    name: str, parts: Sequence[TensorInfo], compute: Callable[[Sequence[Array]], Array], note: str
) -> TensorInfo:
    largest = max(parts, key=lambda part: math.prod(part.shape))
    checks = [part.check for part in parts if part.check]

    def load() -> Array:
        loaded = [part.load() for part in parts]
        if len(parts) == 1:
            return loaded[0]
        return round_to(compute([np.asarray(array, np.float64) for array in loaded]), largest.dtype)

    def check() -> None:
        for one in checks:
            one()

    types = {part.dtype for part in parts}
    dtype = largest.dtype if types <= set(FLOAT_SIZES) and len(types) == 1 else " and ".join(sorted(types))
    return TensorInfo(
        name, largest.shape, dtype, load, largest.scope, check if len(checks) == len(parts) else None,
        tuple(part.name for part in parts), note,
    )  # fmt: skip


#: torch 2.13.0, `nn.quantizable.LSTM` with split_gates: the gates i, f, g, o by name.
_GATES = ("input", "forget", "cell", "output")
_SPLIT = re.compile(r"(?P<prefix>.*\.(?:igates|hgates)\.)input\.(?P<kind>weight|bias)", re.DOTALL)


def _of_split_gates(by_name: Mapping[str, TensorInfo]) -> Iterator[TensorInfo]:
    for name in by_name:
        match = _SPLIT.fullmatch(name)
        names = [f"{match['prefix']}{gate}.{match['kind']}" for gate in _GATES] if match else []
        parts = [by_name[part] for part in names if part in by_name]
        if match and len(parts) == len(names) and len({part.shape for part in parts}) == 1 and parts[0].shape:
            one = _derived(match["prefix"] + match["kind"], parts, partial(np.concatenate, axis=0), "")
            yield replace(one, shape=(4 * one.shape[0], *one.shape[1:]))
