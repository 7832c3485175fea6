"""A Flax model to PyTorch's names and back into its own tree: the same predictions, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx

jax = pytest.importorskip("jax")
nn = pytest.importorskip("flax.linen")
serialization = pytest.importorskip("flax.serialization")

pytestmark = pytest.mark.framework


@pytest.mark.usefixtures("oracle_alone")
def test_there_and_back_gives_the_same_predictions(tmp_path: Path) -> None:
    model = nn.Sequential(
        [nn.Embed(11, 5), nn.RNN(nn.LSTMCell(4)), nn.LayerNorm(), nn.BatchNorm(use_running_average=True), nn.Dense(4)]
    )
    ids = jax.numpy.arange(12).reshape(2, 6) % 11
    first, second = (model.init(jax.random.PRNGKey(seed), ids) for seed in (0, 1))
    for name, variables in (("first", first), ("second", second)):
        (tmp_path / f"{name}.msgpack").write_bytes(serialization.to_bytes(variables))
    there = lx.port(tmp_path / "first.msgpack", tmp_path / "there.safetensors", rename={"layers_2": "layer_norm"})
    kinds = [entry["kind"] for entry in there["layers"]]
    assert sorted(kinds) == ["batch_norm", "dense", "embedding", "layer_norm"]
    lx.port(
        tmp_path / "there.safetensors", tmp_path / "back.msgpack", like=tmp_path / "second.msgpack",
        rename={"layer_norm": "layers_2"},
    )  # fmt: skip
    back = serialization.from_bytes(second, (tmp_path / "back.msgpack").read_bytes())
    assert np.array_equal(model.apply(first, ids), model.apply(back, ids))
    assert not np.array_equal(model.apply(second, ids), model.apply(back, ids))
