"""Attributes of HDF5 in every form that h5py and its tools write: read or refused, and never dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2

from .older_files import arrays, fill

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

KEY, VERSION = "keras_version", "2.2.0"


def among_many(root: Any) -> None:
    for number in range(12):
        root.attrs[f"other{number}"] = number
    root.attrs[KEY] = VERSION


def after_deletions(root: Any) -> None:
    """The header goes on elsewhere, and has gaps."""
    for number in range(40):
        root.attrs[f"other{number}"] = "y" * 1000
    root.attrs[KEY] = VERSION
    for number in range(40):
        del root.attrs[f"other{number}"]


def of_a_named_type(root: Any) -> None:
    root["type"] = h5py.string_dtype("utf-8", 40)
    root.attrs.create(KEY, VERSION.encode(), dtype=root["type"])


FORMS: dict[str, Callable[[Any], object]] = {
    "text": lambda root: root.attrs.create(KEY, VERSION),
    "bytes": lambda root: root.attrs.create(KEY, VERSION.encode()),
    "fixed": lambda root: root.attrs.create(KEY, np.bytes_(VERSION)),
    "ascii": lambda root: root.attrs.create(KEY, VERSION, dtype=h5py.string_dtype("ascii")),
    "list-of-one": lambda root: root.attrs.create(KEY, [VERSION], dtype=h5py.string_dtype()),
    "array-of-one": lambda root: root.attrs.create(KEY, np.array([[VERSION.encode()]])),
    "after-deletions": after_deletions,
    "list-of-two": lambda root: root.attrs.create(KEY, [VERSION, VERSION], dtype=h5py.string_dtype()),
    "numbers": lambda root: root.attrs.create(KEY, np.frombuffer(VERSION.encode("utf-16-le"), "u2")),
    "too-long": lambda root: root.attrs.create(KEY, np.bytes_(VERSION + " " * 5000)),
    "named-type": of_a_named_type,
    "among-many": among_many,
}
REFUSED = ("list-of-two", "numbers", "too-long", "named-type")


@pytest.mark.parametrize("order", [False, True], ids=["plain", "ordered"])
@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("form", FORMS)
def test_an_attribute_is_read_or_refused(tmp_path: Path, form: str, libver: str, order: bool) -> None:
    """A version that was dropped would leave the gates open, and one of Keras 2.3 would make them sigmoid."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver=libver, track_order=order) as root:
        fill(root, {"rec/rec": arrays()})
        FORMS[form](root)
    dense = form == "among-many" and (order or libver != "earliest")
    if form in REFUSED or dense:
        with pytest.raises(CheckpointError, match=f"the attribute {KEY} of / .*cannot be read safely"):
            read_checkpoint(path)
    else:
        assert read_checkpoint(path).lstms[0].weights.spec.gate_activation == HARD_SIGMOID_KERAS2


def test_an_attribute_without_a_value_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as root:
        fill(root, {"rec/rec": arrays()})
        root.attrs[KEY] = h5py.Empty("S10")
    assert "is not in the file" in read_checkpoint(path).unread[0].why
