"""A recording as one `.npz`: a manifest and the arrays of the answers.

The manifest is JSON in an array of bytes.

    with numpy.load("py311-torch.npz", allow_pickle=False) as file:
        manifest = json.loads(file["manifest"].tobytes())
        y = file["torch/h4-x5-t7-b3-split-states-float32-s0/y"]

Arrays are named `adapter/case/quantity`: y, h_n, c_n, last, merged, layer0.y and so on, and gradient.NAME. Weights and
inputs are left out: the recipe in the manifest makes them again, and their sha256 shows whether they are the same.

`.npz` and not safetensors: whoever has NumPy can open it without this package, and the archive checks each array's CRC.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..checkpoints.codecs.limits import escape
from ..errors import SpecError
from ..model import QUANTITIES, Result
from .model import Answer, Question, Recording, RecordingError
from .npz import decode
from .npz import encode as encode_npz

#: Version of the file. A later version reads every former one.
SCHEMA = 1
FORMAT = "lstm-xcheck recording"

_KINDS = ("answered", "unsupported", "crashed")
_NAME = re.compile(r"[\w.+=-]{1,200}")


def encode(recording: Recording) -> bytes:
    """The bytes of the file: equal for equal content."""
    return encode_npz(_as_arrays(recording))


def content_run(recording: Recording) -> str:
    """The default run id of a recording: a hash of its content."""
    return "content-" + hashlib.sha256(encode(replace(recording, run=""))).hexdigest()[:12]


def _as_arrays(recording: Recording) -> dict[str, Array]:
    manifest = {
        "format": FORMAT,
        "schema": SCHEMA,
        "environment": recording.environment,
        "run": recording.run,
        "made_by": dict(recording.made_by),
        "adapters": {name: {"layout": layout} for name, layout in recording.layouts.items()},
        "questions": [
            {"id": question.id, "recipe": dict(question.recipe), "fingerprint": question.fingerprint}
            for question in recording.questions
        ],
        "answers": [_answer_fields(answer) for answer in recording.answers],
    }
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    arrays: dict[str, Array] = {"manifest": np.frombuffer(text.encode(), np.uint8)}
    for answer in recording.answers:
        if answer.result is not None:
            prefix = f"{answer.adapter}/{answer.question}/"
            arrays.update({prefix + name: array for name, array in _result_arrays(answer.result).items()})
    return arrays


def _answer_fields(answer: Answer) -> dict[str, Any]:
    fields: dict[str, Any] = {"question": answer.question, "adapter": answer.adapter, "kind": answer.kind}
    if answer.result is None:
        return {**fields, "reason": answer.reason}
    return {
        **fields,
        "arrays": list(_result_arrays(answer.result)),
        "parameter_count": answer.result.parameter_count,
        "computed_in": answer.result.computed_in,
        "note": answer.result.note,
        "environment": dict(answer.result.environment),
        "held": answer.weights_hash,
    }


def _result_arrays(result: Result) -> dict[str, Array]:
    arrays = {name: getattr(result, name) for name in QUANTITIES if getattr(result, name) is not None}
    arrays.update({f"layer{index}.y": array for index, array in enumerate(result.layer_outputs)})
    arrays.update({f"gradient.{name}": result.gradients[name] for name in sorted(result.gradients)})
    return arrays


def read(path: Path) -> Recording:
    """A recording from its file.

    Raises:
        RecordingError: for a file that is none, is damaged, or comes from a newer version.
    """
    arrays = decode(path)
    manifest = _manifest(path, arrays)
    try:
        return _recording(manifest, arrays, str(path))
    except (KeyError, TypeError, ValueError, AttributeError, SpecError) as error:
        raise RecordingError(
            f"{path}: the manifest lacks or misuses something ({type(error).__name__}: {escape(error)}); "
            "record it again"
        ) from error


def _manifest(path: Path, arrays: Mapping[str, Array]) -> dict[str, Any]:
    try:
        manifest = json.loads(arrays["manifest"].tobytes())
        known = isinstance(manifest, dict) and manifest["format"] == FORMAT
    except (KeyError, ValueError, RecursionError):
        known = False
    if not known:
        raise RecordingError(
            f"{path} is no recording: it has no manifest; write one with: lstm-xcheck record --out {path}"
        )
    schema = manifest.get("schema")
    if type(schema) is not int or schema < 1:
        raise RecordingError(f"{path} has the schema {escape(schema)}, but it should be a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise RecordingError(
            f"{path} has schema {escape(schema)}, written by a newer lstm-xcheck, but this one reads up to {SCHEMA}; "
            "update lstm-xcheck"
        )
    return dict(manifest)


def _recording(manifest: Mapping[str, Any], arrays: Mapping[str, Array], source: str) -> Recording:
    return Recording(
        environment="" if manifest["environment"] == "" else _name(manifest["environment"]),
        run=_name(manifest["run"]),
        made_by=_texts(manifest["made_by"]),
        layouts={_name(name): _text(fields["layout"]) for name, fields in manifest["adapters"].items()},
        questions=tuple(
            Question(_name(fields["id"]), dict(fields["recipe"]), _text(fields["fingerprint"]))
            for fields in manifest["questions"]
        ),
        answers=tuple(_answer(fields, arrays) for fields in manifest["answers"]),
        source=source,
    )


def _answer(fields: Mapping[str, Any], arrays: Mapping[str, Array]) -> Answer:
    question, adapter, kind = (_name(fields[key]) for key in ("question", "adapter", "kind"))
    if kind not in _KINDS:
        raise ValueError(f"an answer is {kind!r}, expected one of {', '.join(_KINDS)}")
    if kind != "answered":
        return Answer(question, adapter, kind, reason=_text(fields["reason"]))  # type: ignore[arg-type]
    prefix = f"{adapter}/{question}/"
    named = {_text(name): arrays[prefix + name] for name in fields["arrays"]}
    count = fields["parameter_count"]
    if count is not None and type(count) is not int:
        raise ValueError(f"a parameter count is {count!r}, expected a whole number")
    outputs: dict[str, Any] = {name: named[name] for name in QUANTITIES if name in named}
    result = Result(
        **outputs,
        layer_outputs=tuple(named[f"layer{k}.y"] for k in range(sum(name.startswith("layer") for name in named))),
        gradients={name[9:]: array for name, array in named.items() if name.startswith("gradient.")},
        parameter_count=count,
        computed_in=_text(fields["computed_in"]),
        note=_text(fields["note"]),
        environment=_texts(fields["environment"]),
    )
    return Answer(question, adapter, "answered", result, weights_hash=_text(fields["held"]))


def one_line(text: str) -> str:
    r"""Text on one line, with blanks for line ends and control characters.

    >>> one_line("two\nlines")
    'two lines'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_name(text: str) -> bool:
    """Whether this can name an environment, adapter or case."""
    return _NAME.fullmatch(text) is not None


def _name(value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ValueError(f"{value!r} should be a name of letters, digits and . _ + - =")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} should be one line of text")
    return value


def _texts(value: Any) -> dict[str, str]:
    return {_text(key): _text(item) for key, item in value.items()}
