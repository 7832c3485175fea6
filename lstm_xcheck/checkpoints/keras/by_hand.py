"""What the user adds to a Keras file that does not say it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, SpecError
from ...model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, Activation
from ..codecs.limits import escape
from ..options import KerasOptions
from .config import KerasConfig, LayerConfig
from .plain_yaml import read_yaml

_MAX_CONFIG = 64 << 20
#: Functions of Keras that have no canonical form; a name that is not here may be the user's own.
_OTHER_FUNCTIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid",
    "log_softmax", "mish", "relu6", "selu", "silu", "soft_shrink", "softmax", "softplus", "softsign", "swish",
)  # fmt: skip
_TWO_DEFAULTS = (
    "is not in the file, and the default of its Keras is hard_sigmoid or sigmoid; say which with "
    "--recurrent-activation, or give the model's JSON with --keras-config"
)


def read_architecture(path: Path | None) -> dict[str, Any] | None:
    """The architecture of --keras-config."""
    if path is None:
        return None
    try:
        if path.stat().st_size > _MAX_CONFIG:
            raise CheckpointError(f"--keras-config {path} has over {_MAX_CONFIG:,} bytes, more than any architecture")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"--keras-config {path} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise CheckpointError(f"--keras-config {path} is no text ({escape(error)}), but should be JSON") from error
    try:
        value = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"--keras-config {path} is neither JSON nor the plain YAML of Keras 2 ({escape(error)}); give what "
            "model.to_json() gives"
        ) from error
    if not isinstance(value, dict) or "class_name" not in value or "config" not in value:
        raise CheckpointError(f"--keras-config {path} holds no class_name and config, as model.to_json() gives them")
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return read_yaml(text)


def option_of(key: str) -> str:
    """The option of the command line for a key of a layer's config."""
    return f"--{key.replace('_', '-')}"


def functions_by_hand(options: KerasOptions, config: KerasConfig) -> dict[str, str]:
    """The activations that the user says, as a spec names them."""
    stated = {"activation": options.activation, "recurrent_activation": options.recurrent_activation}
    return {key: _function(option_of(key), value, config) for key, value in stated.items() if value is not None}


@dataclass(frozen=True)
class Functions:
    """What an LSTM computes, and which of it the user says."""

    activation: str
    recurrent_activation: str
    stated: tuple[str, ...]
    notes: tuple[str, ...]


def functions_of(
    values: Mapping[str, Any], gates: str | None, config: KerasConfig, options: KerasOptions
) -> Functions | str:
    """The functions of a layer's config, or why they are not known.

    Args:
        values: the config, empty where there is none.
        gates: what the gates have where the config does not say it; None for what is not known.
        config: of the model.
        options: which fill what the config leaves open.
    """
    by_hand = functions_by_hand(options, config)
    found: dict[str, str] = {}
    notes = {}
    for key, default in (("activation", "tanh"), ("recurrent_activation", gates)):
        value = values.get(key)
        function = config.activation(value) if key in values else default
        if key in by_hand and value not in _OTHER_FUNCTIONS and (function is None or key not in values):
            function = by_hand[key]
            notes[key] = f"{option_of(key)} says {function}"
            notes[key] += f" where the file says {escape(value)}" if key in values else ""
        if function is None:
            two = "two meanings without a Keras version" if value == "hard_sigmoid" else "no canonical form"
            return f"its {key} " + (f"{escape(value)} has {two}" if key in values else _TWO_DEFAULTS)
        found[key] = function
    return Functions(found["activation"], found["recurrent_activation"], tuple(notes), tuple(notes.values()))


def _function(option: str, value: str, config: KerasConfig) -> str:
    function = config.activation(value)
    if function is not None:
        return function
    if value == "hard_sigmoid":
        raise CheckpointError(
            f"{option} hard_sigmoid has two meanings, and the file does not say which Keras wrote it; write "
            f"{HARD_SIGMOID_KERAS2} for that of Keras 2 or {HARD_SIGMOID_KERAS3} for that of Keras 3"
        )
    try:
        Activation.parse(value)
    except SpecError as error:
        raise CheckpointError(f"{option}: {error}") from error
    return value


def refuse_foreign(configs: Iterable[LayerConfig], options: KerasOptions) -> str:
    """Why a foreign class is not read; empty if there is none."""
    accepted = {name.rpartition(">")[2] for name in options.accept_class}
    foreign = [escape(c.short_class) for c in configs if not c.is_own and c.short_class not in accepted]
    return (
        f"its class is {foreign[0]}, not Keras' own, which may compute anything; if it computes what Keras' LSTM "
        f"does, add --accept-class {foreign[0]}"
        if foreign
        else ""
    )


def accepted_notes(configs: Iterable[LayerConfig]) -> list[str]:
    """Names the classes that were accepted."""
    return [
        f"its class is {escape(name)}, not Keras' own; --accept-class says that it computes what Keras' LSTM does"
        for name in dict.fromkeys(config.short_class for config in configs if not config.is_own)
    ]
