"""Detects LSTMs by PyTorch's tensor names.

Names only nominate a group, shapes decide: PyTorch's GRU and RNN use the same names as its LSTM, with 3 and 1 rows per
unit instead of 4.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import CheckpointError
from ...layouts.table import layout_named
from ..codecs.limits import FLOAT_SIZES, MAX_LSTMS, escape, refuse_many, shortlist
from ..model import REDUNDANT, FoundLSTM, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .assemble import Detected, build, names_of, others, unique_names, why_unreadable
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

#: What quantisation-aware training observed, by the module's name (torch 2.13.0, torch/ao/quantization/quantize.py).
_OBSERVER = re.compile(r"(?:.*\.)?(?:weight_fake_quant|activation_post_process)\..*", re.DOTALL)

#: Weights that another cell has; at the top of a file, where every other layer lies below too, these names only.
_OF_A_CELL = re.compile(r"(?:weight|bias)_[^./]+|layernorm[^./]*|layernorm_[ihc][./][^./]+")
#: What wraps a layer whose weights it changes (peft 0.17, tuners/lora/layer.py).
_BASE_LAYER = ("base_layer.", "base_layer/")

_WITHOUT = "; to port it without them, name each with --leave-out"

#: What DataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")
#: Modules in which a whole model lies.
_TOP = ("", "model.", "model/")

_FAMILY = {4: "LSTM", 3: "a GRU", 1: "an RNN"}


@dataclass
class _Group:
    """Tensors under one prefix by place (`_l0`, or empty) and kind."""

    prefix: str
    scope: str
    places: dict[str, dict[str, TensorInfo]] = field(default_factory=dict)
    forms: dict[str, list[TensorInfo]] = field(default_factory=dict)  # of its weights, where not known, by own name
    further: list[TensorInfo] = field(default_factory=list)  # floats of its module that are none of its weights
    left_out: list[TensorInfo] = field(default_factory=list)  # the same where the user leaves them behind
    fake_quantised: bool = False  # whether training rounded its weights

    @property
    def tensors(self) -> list[TensorInfo]:
        return [tensor for place in self.places.values() for tensor in place.values()]

    @property
    def everything(self) -> list[TensorInfo]:
        return [*self.tensors, *(tensor for form in self.forms.values() for tensor in form), *self.further]

    def owns(self, name: str) -> bool:
        """Whether it is one of its weights."""
        prefix, place, kind = _place_of(name)
        if prefix == self.prefix and kind:
            return kind in self.places.get(place, {})
        adopted = self.places.get("", {}).get("bias_ih")
        return adopted is not None and adopted.name == name

    @property
    def is_cell(self) -> bool:
        return "" in self.places


def detect_torch_names(path: Path, tensors: Sequence[TensorInfo], options: ReadOptions) -> Detected:
    """Detects LSTMs named as torch.nn.LSTM and LSTMCell name them."""
    by_name = {tensor.name: tensor for tensor in tensors}
    derived = {tensor.name: tensor for tensor in derived_tensors(tensors)}
    by_name.update(derived)
    sources = {name for tensor in derived.values() for name in tensor.sources}
    rest = [tensor for tensor in tensors if tensor.name not in sources]
    left_out = {t.name for t in rest if not options.leave_out.isdisjoint(names_of(t.name, t.scope))}
    groups = _torch_groups(list(by_name.values()), [tensor for tensor in rest if tensor.name not in left_out])
    refuse_many(path, sum(bool(group.places) for group in groups.values()), "LSTMs", MAX_LSTMS)
    found: list[tuple[FoundLSTM, str]] = []
    reasons: dict[str, Reason] = dict.fromkeys(derived, REDUNDANT)
    for group in groups.values():
        _refuse_ambiguous(path, group)
        _adopt_single_bias(group, by_name)
    _add_further(groups, rest, left_out)
    for group in groups.values():
        reason = _why_no_lstm(group)
        if reason:
            own = group.everything if isinstance(reason, UnreadLSTM) else group.tensors
            reasons.update({name: reason for tensor in own for name in (tensor.name, *tensor.file_names)})
            continue
        found.append((_torch_lstm(path, group), group.prefix))
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    return lstms, others((t for t in tensors if used.isdisjoint(t.file_names)), reasons, options)


def _torch_groups(tensors: Sequence[TensorInfo], stored: Sequence[TensorInfo]) -> dict[str, _Group]:
    """Groups of plain weights and of unknown forms of them."""
    groups: dict[str, _Group] = {}
    for tensor in tensors:
        prefix, place, kind = _place_of(tensor.name)
        if kind:
            group = groups.setdefault(prefix, _Group(prefix, tensor.scope))
            group.places.setdefault(place, {}).setdefault(kind, tensor)
        elif _FAKE_QUANTISED in tensor.name:
            prefix = tensor.name.rpartition("layers.")[0]
            groups.setdefault(prefix, _Group(prefix, tensor.scope)).fake_quantised = True
    for own, forms in in_a_form(stored).items():
        prefix, place, kind = _place_of(own)
        groups.setdefault(prefix, _Group(prefix, forms[0].scope)).forms[kind + place] = forms
    return {prefix: group for prefix, group in groups.items() if group.places or group.forms}


def _add_further(groups: Mapping[str, _Group], tensors: Iterable[TensorInfo], left_out: Container[str]) -> None:
    """Gives each group the floats that lie in its module."""
    modules = {prefix: group for prefix, group in groups.items() if group.places}
    for prefix, group in list(modules.items()):
        if prefix.endswith(_BASE_LAYER):
            modules.setdefault(prefix[: -len(_BASE_LAYER[0])], group)
    lengths = {len(prefix) for prefix in modules}
    for tensor in tensors:
        if tensor.dtype not in FLOAT_SIZES or _OBSERVER.fullmatch(tensor.name):
            continue
        for end in (0, *(match.end() for match in re.finditer(r"[./]", tensor.name))):
            module = modules.get(tensor.name[:end]) if end in lengths else None
            if module and not module.owns(tensor.name):
                is_top = _unwrapped(tensor.name[:end], module.scope) in _TOP
                if not is_top or _OF_A_CELL.fullmatch(tensor.name, end):
                    (module.left_out if tensor.name in left_out else module.further).append(tensor)


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


def _why_no_lstm(group: _Group) -> Reason:
    """Why names, shapes and types make no LSTM; empty if they do."""
    if group.forms and _has_four_rows(group):
        names = shortlist([escape(tensor.name) for form in group.forms.values() for tensor in form])
        unknown = f"{' and '.join(group.forms)} is stored in a form that is not known, as {names}"
        plain = {kind + place for place, kinds in group.places.items() for kind in kinds}
        unknown += _WITHOUT if plain >= group.forms.keys() else ""
        return UnreadLSTM(_name_of(group), unknown)
    families = {_place_family(place, kinds) for place, kinds in group.places.items()}
    if "LSTM" not in families:
        return "; ".join(sorted(families)) or "not an LSTM: its weights are stored in a form that is not known"
    if len(families) > 1:
        return UnreadLSTM(_name_of(group), "; ".join(sorted(families - {"LSTM"})))
    why = why_unreadable(group.tensors)
    if not why and group.further:
        names = shortlist([escape(tensor.name) for tensor in group.further])
        why = f"its module has further weights, {names}, which may change what it computes" + _WITHOUT
    return UnreadLSTM(_name_of(group), why) if why else ""


def _has_four_rows(group: _Group) -> bool:
    """Whether recurrent weights, in whatever form, have 4 rows per unit."""
    sizes: dict[str, dict[str, set[int]]] = {}
    plain = [(place, kind, [tensor]) for place, kinds in group.places.items() for kind, tensor in kinds.items()]
    forms = [(_place_of(own)[1:], tensors) for own, tensors in group.forms.items()]
    for place, kind, tensors in [*plain, *((place, kind, tensors) for (place, kind), tensors in forms)]:
        of_kind = sizes.setdefault(place, {}).setdefault(kind, set())
        of_kind.update(size for tensor in tensors for size in tensor.shape)
    return any(
        max(of["weight_hh"]) in {4 * size for size in of["weight_hh"] | of.get("weight_hr", set())}
        for of in sizes.values()
        if of.get("weight_hh")
    )


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
    rows = "1 row" if ratio == 1 else f"{int(ratio)} rows"
    return family if family == "LSTM" else f"{family}, not an LSTM: weight_hh{place} has {rows} per unit"


def _adopt_single_bias(group: _Group, by_name: Mapping[str, TensorInfo]) -> None:
    """Takes one vector `bias`, as Equinox 0.13.8 stores it (equinox/nn/_rnn.py)."""
    kinds = group.places.get("", {})
    bias = by_name.get(group.prefix + "bias")
    if "weight_ih" in kinds and bias and "bias_ih" not in kinds and bias.shape == kinds["weight_ih"].shape[:1]:
        kinds["bias_ih"] = bias


def _name_of(group: _Group) -> str:
    """The user's name of the layer."""
    return escape(_unwrapped(group.prefix, group.scope).rstrip("./") or "lstm", 200)


def _unwrapped(prefix: str, scope: str) -> str:
    """The prefix without what is put before every name."""
    short = prefix[len(scope) :]
    while short.startswith(_WRAPPERS):
        short = short.partition(".")[2]
    return short


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
    if group.left_out:
        names = shortlist([escape(tensor.name) for tensor in group.left_out])
        yield f"read without further weights of its module, which are left out: {names}"
    if group.fake_quantised:
        yield "its weights are read as they are stored; training rounded them and its steps to 8 bits when it ran"
