"""Detects LSTMs by PyTorch's tensor names.

Names only nominate a group, shapes decide: PyTorch's GRU and RNN use the same names as its LSTM, with 3 and 1 rows per
unit instead of 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import CheckpointError
from ...layouts.table import layout_named
from ..codecs.limits import MAX_LSTMS, escape, refuse_many, shortlist
from ..model import REDUNDANT, FoundLSTM, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .assemble import Detected, build, others, unique_names, why_unreadable
from .derived import derived_tensors, in_a_form

_LAYOUT = layout_named("torch")

#: torch 2.13.0 nn.LSTM (`_l{k}`, `_reverse`) and nn.LSTMCell (no suffix), torch/nn/modules/rnn.py.
_TORCH_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?P<kind>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)"
    r"(?P<place>(?:_l[0-9]{1,3}(?:_reverse)?)?)",
    re.DOTALL,
)

#: torch 2.13.0 nn.quantizable.LSTM, of which quantisation-aware training leaves a float LSTM
#: (torch/ao/nn/quantizable/modules/rnn.py).
_QUANTIZABLE_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)layers\.(?P<layer>[0-9]{1,3})\.layer_(?P<direction>fw|bw)\.cell\."
    r"(?P<side>igates|hgates)\.(?P<kind>weight|bias)",
    re.DOTALL,
)
_FAKE_QUANTISED = ".weight_fake_quant."

#: What DataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")

_FAMILY = {4: "LSTM", 3: "GRU", 1: "RNN"}


@dataclass
class _Group:
    """Tensors under one prefix by place (`_l0`, or empty) and kind."""

    prefix: str
    scope: str
    places: dict[str, dict[str, TensorInfo]] = field(default_factory=dict)
    fake_quantised: bool = False  # whether training rounded its weights

    @property
    def tensors(self) -> list[TensorInfo]:
        return [tensor for place in self.places.values() for tensor in place.values()]

    @property
    def is_cell(self) -> bool:
        return "" in self.places


def detect_torch_names(path: Path, tensors: Sequence[TensorInfo], options: ReadOptions) -> Detected:
    """Detects LSTMs named as torch.nn.LSTM and LSTMCell name them."""
    by_name = {tensor.name: tensor for tensor in tensors}
    derived = {tensor.name: tensor for tensor in derived_tensors(tensors)}
    by_name.update(derived)
    groups = _torch_groups(list(by_name.values()))
    refuse_many(path, len(groups), "LSTMs", MAX_LSTMS)
    found: list[tuple[FoundLSTM, str]] = []
    reasons: dict[str, Reason] = dict.fromkeys(derived, REDUNDANT)
    stored = in_a_form(tensors)
    for group in groups.values():
        _refuse_ambiguous(path, group)
        reason = _why_no_lstm(group, stored)
        if reason:
            reasons.update({name: reason for tensor in group.tensors for name in (tensor.name, *tensor.file_names)})
            continue
        _adopt_single_bias(group, by_name)
        found.append((_torch_lstm(path, group), group.prefix))
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    return lstms, others((t for t in tensors if used.isdisjoint(t.file_names)), reasons, options)


def _torch_groups(tensors: Sequence[TensorInfo]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for tensor in tensors:
        prefix, place, kind = _place_of(tensor.name)
        if kind:
            group = groups.setdefault(prefix, _Group(prefix, tensor.scope))
            group.places.setdefault(place, {}).setdefault(kind, tensor)
        elif _FAKE_QUANTISED in tensor.name:
            prefix = tensor.name.rpartition("layers.")[0]
            groups.setdefault(prefix, _Group(prefix, tensor.scope)).fake_quantised = True
    return {prefix: group for prefix, group in groups.items() if group.places}


def _place_of(name: str) -> tuple[str, str, str]:
    """Prefix, place and kind of a tensor; no kind for any other."""
    match = _TORCH_NAME.fullmatch(name)
    if match:
        return match["prefix"], match["place"], match["kind"]
    match = _QUANTIZABLE_NAME.fullmatch(name)
    if not match:
        return "", "", ""
    place = f"_l{int(match['layer'])}{'_reverse' if match['direction'] == 'bw' else ''}"
    return match["prefix"], place, f"{match['kind']}_{'ih' if match['side'] == 'igates' else 'hh'}"


def _refuse_ambiguous(path: Path, group: _Group) -> None:
    if group.is_cell and len(group.places) > 1:
        layer = next(place for place in group.places if place)
        raise CheckpointError(
            f"{path}: {escape(group.prefix) or 'the top level'} holds both {'weight_ih'!r} (an LSTMCell) and "
            f"{'weight_ih' + layer!r} (an LSTM); save one of the two alone"
        )


def _why_no_lstm(group: _Group, stored: Mapping[str, Sequence[TensorInfo]]) -> Reason:
    """Why names, shapes and types make no LSTM; empty if they do."""
    unknown = [reason for place in group.places if (reason := _unknown_form(group, place, stored))]
    if unknown:
        return UnreadLSTM(_name_of(group), "; ".join(unknown))
    families = {_place_family(place, kinds) for place, kinds in group.places.items()}
    if "LSTM" not in families:
        return "; ".join(sorted(families))
    if len(families) > 1:
        return UnreadLSTM(_name_of(group), "; ".join(sorted(families - {"LSTM"})))
    unsupported = why_unreadable(group.tensors)
    return UnreadLSTM(_name_of(group), unsupported) if unsupported else ""


def _unknown_form(group: _Group, place: str, stored: Mapping[str, Sequence[TensorInfo]]) -> str:
    """In what form a weight of an LSTM is stored that is not known."""
    kinds = group.places[place]
    missing = [kind + place for kind in ("weight_ih", "weight_hh") if kind not in kinds]
    forms = [tensor for own in missing for tensor in stored.get(group.prefix + own, ())]
    rows = {4 * shape[1] for shape in (t.shape for t in forms) if len(shape) == 2 and shape[0] == 4 * shape[1]}
    if not rows & {tensor.shape[0] for tensor in kinds.values() if tensor.shape}:
        return ""
    names = shortlist([escape(tensor.name) for tensor in forms])
    return f"{' and '.join(missing)} is stored in a form that is not known, as {names}"


def _place_family(place: str, kinds: dict[str, TensorInfo]) -> str:
    """`LSTM` where all shapes fit one, else what it is instead."""
    missing = [kind + place for kind in ("weight_ih", "weight_hh") if kind not in kinds]
    if missing:
        return f"not an LSTM: {' and '.join(missing)} is missing (reparametrised, packed or incomplete)"
    w, u = kinds["weight_ih"].shape, kinds["weight_hh"].shape
    if len(w) != 2 or len(u) != 2 or w[0] != u[0] or not u[1]:
        return f"not an LSTM: weight_ih{place} is {list(w)} and weight_hh{place} {list(u)}"
    if "weight_hr" in kinds:
        return "LSTM"
    ratio = w[0] / u[1]
    family = _FAMILY.get(int(ratio)) if ratio == int(ratio) else None
    if family is None:
        return f"not an LSTM: weight_hh{place} is {list(u)}, but should have 4 rows per column"
    return family if family == "LSTM" else f"a {family}, not an LSTM: weight_hh{place} has {int(ratio)} rows per unit"


def _adopt_single_bias(group: _Group, by_name: Mapping[str, TensorInfo]) -> None:
    """Takes one vector `bias`, as Equinox 0.13.8 stores it (equinox/nn/_rnn.py)."""
    kinds = group.places.get("", {})
    bias = by_name.get(group.prefix + "bias")
    if kinds and bias and "bias_ih" not in kinds and bias.shape == kinds["weight_ih"].shape[:1]:
        kinds["bias_ih"] = bias


def _name_of(group: _Group) -> str:
    """The user's name of the layer."""
    short = group.prefix[len(group.scope) :]
    while short.startswith(_WRAPPERS):
        short = short.partition(".")[2]
    return escape(short.rstrip("./") or "lstm", 200)


def _torch_lstm(path: Path, group: _Group) -> FoundLSTM:
    name = _name_of(group)
    arrays = {kind + (place or "_l0"): t for place, kinds in group.places.items() for kind, t in kinds.items()}
    weights = build(path, name, _LAYOUT, arrays)
    first = next(iter(group.places.values()))
    rows, columns = first["weight_hh"].shape
    return FoundLSTM(
        name=name,
        weights=weights,
        layout="torch",
        why=(
            f"{escape(first['weight_hh'].name)} is {rows} x {columns} with {weights.spec.hidden_size} units: "
            "4 rows per unit make an LSTM, a GRU has 3 and an RNN 1"
        ),
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(dict.fromkeys(name for tensor in group.tensors for name in tensor.file_names)),
        notes=tuple(_notes(group)),
        arrays={key: tensor.name for key, tensor in arrays.items() if not tensor.sources},
    )


def _notes(group: _Group) -> Iterator[str]:
    if group.is_cell:
        yield "an LSTMCell, read as a layer of its own"
    yield from dict.fromkeys(tensor.note for tensor in group.tensors if tensor.note)
    if group.fake_quantised:
        yield "its weights are read as they are stored; training rounded them and its steps to 8 bits when it ran"
