"""Which adapter verifies the files of a layout."""

from __future__ import annotations

import pytest

from lstm_xcheck.adapters import Entry, known
from lstm_xcheck.porting import verification


@pytest.mark.parametrize(
    ("layout", "missing", "chosen"),
    [
        ("torch", (), ("torch",)),
        ("jax", (), ("jax",)),
        ("keras", (), ("keras-torch",)),
        ("keras", ("keras-torch",), ("keras-jax",)),
        ("keras", ("keras-torch", "keras-jax"), ("keras-tensorflow",)),
        ("torch", ("torch",), ("torch-cell",)),
        ("keras", ("keras-torch", "keras-jax", "keras-tensorflow"), ("tf-keras",)),
        ("flax-linen", (), ("flax-linen",)),
        ("flax-nnx", (), ("flax-nnx",)),
        ("flax-nnx-optimized", (), ("flax-nnx-optimized",)),
        ("sonnet", (), ("sonnet",)),
        ("tf1", (), ("tf1-cell",)),
        ("tf1", ("tf1-cell",), ("tf-block",)),
        ("openvino", (), ("openvino",)),
        ("paddle", (), ("paddle",)),
        ("onnx", (), ("onnxruntime",)),
        ("onnx", ("onnxruntime",), ()),
        ("cudnn-keras", (), ("mine",)),
        ("mine", (), ()),
    ],
)
def test_the_preferred_installed_adapter_is_chosen(
    monkeypatch: pytest.MonkeyPatch, layout: str, missing: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    others = {
        "paddle": Entry("paddle", "elsewhere:Paddle"),
        "mine": Entry("mine", "elsewhere:Mine", layout="cudnn-keras"),
    }
    here = {name: entry for name, entry in {**known(), **others}.items() if name not in missing}
    monkeypatch.setattr(verification, "installed", lambda: here)
    assert verification.frameworks_of(layout) == chosen
