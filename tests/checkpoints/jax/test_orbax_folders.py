"""Orbax folders: trees of real Flax models judged, written ones restored by Orbax itself, damaged ones refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint

from ..damage import refusal

pytest.importorskip("tensorstore")
orbax = pytest.importorskip("orbax.checkpoint")
jax = pytest.importorskip("jax")
linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")

pytestmark = [pytest.mark.framework, pytest.mark.filterwarnings("ignore")]

X, H = 5, 4


def save(path: Path, tree: Any, **options: Any) -> Path:
    with orbax.PyTreeCheckpointer(**options) as checkpointer:
        checkpointer.save(path.resolve(), tree)
    return path


def agrees(found: Any, outputs: Callable[[Any], Any]) -> bool:
    case = lx.Case.random(found.weights.spec, weights=found.weights, states=False)
    return bool(lx.judge(lx.Result(y=np.array(outputs(np.array(case.x)))), case).verdict == "match")


def linen_model() -> tuple[Any, Any]:
    model = linen.RNN(linen.LSTMCell(H, bias_init=linen.initializers.normal(1.0)))
    return model, model.init(jax.random.PRNGKey(0), np.zeros((3, 7, X), np.float32))


@pytest.mark.parametrize("options", [{}, {"use_ocdbt": False}, {"use_zarr3": True}], ids=["ocdbt", "folders", "zarr3"])
def test_linen_computes_what_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    model, tree = linen_model()
    checkpoint = read_checkpoint(save(tmp_path / "m", tree, **options))
    assert (checkpoint.format, checkpoint.other) == ("orbax", ())
    (found,) = checkpoint.lstms
    assert found.layout == "flax-linen"
    assert agrees(found, lambda x: model.apply(tree, x))


@pytest.mark.parametrize("pure", [False, True], ids=["state", "pure-dict"])
def test_nnx_computes_what_is_read(tmp_path: Path, pure: bool) -> None:
    model = nnx.RNN(nnx.LSTMCell(X, H, bias_init=nnx.initializers.normal(1.0), rngs=nnx.Rngs(0)))
    state = nnx.state(model, nnx.Param)
    (found,) = read_checkpoint(save(tmp_path / "m", nnx.to_pure_dict(state) if pure else state)).lstms
    assert found.layout == "flax-nnx"
    assert agrees(found, model)


@pytest.mark.parametrize("inner", ["", "10", "10/default"])
def test_managers_folders_and_steps_are_found(tmp_path: Path, inner: str) -> None:
    _, tree = linen_model()
    with orbax.CheckpointManager(tmp_path / "run") as manager:
        manager.save(10, args=orbax.args.StandardSave(tree))
    assert len(lx.load(tmp_path / "run" / inner)) == 1


def test_several_steps_are_ambiguous(tmp_path: Path) -> None:
    _, tree = linen_model()
    with orbax.CheckpointManager(tmp_path / "run") as manager:
        manager.save(10, args=orbax.args.StandardSave(tree))
        manager.save(20, args=orbax.args.StandardSave(tree))
    assert "holds the steps 10, 20" in refusal(tmp_path / "run")
    assert len(lx.load(tmp_path / "run" / "20")) == 1


SPECS = {
    "plain": lx.LSTMSpec(X, H, bias="single"),
    "bidirectional": lx.LSTMSpec(X, H, bias="single", bidirectional=True),
    "stack": lx.LSTMSpec(X, H, bias="single", num_layers=2),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_is_written_is_read_again(tmp_path: Path, spec: lx.LSTMSpec, dtype: str) -> None:
    weights = lx.LSTMWeights.random(spec, dtype=dtype)
    write_checkpoint(tmp_path / "m.orbax", {"enc": weights})
    assert [file.name for file in tmp_path.iterdir()] == ["m.orbax"]
    read = [found.weights for found in read_checkpoint(tmp_path / "m.orbax").lstms]
    assert read == [weights.layer(k) if spec.num_layers > 1 else weights for k in range(spec.num_layers)]


def test_orbax_restores_what_linen_runs(tmp_path: Path) -> None:
    weights = lx.LSTMWeights.random(SPECS["plain"])
    write_checkpoint(tmp_path / "m", {"enc": weights}, "orbax")
    with orbax.StandardCheckpointer() as checkpointer:
        tree = checkpointer.restore(tmp_path / "m")
    (cell,) = tree["params"]["enc"].values() if "hf" not in tree["params"]["enc"] else (tree["params"]["enc"],)
    case = lx.Case.random(weights.spec, weights=weights, states=False)
    y = linen.RNN(linen.LSTMCell(H)).apply({"params": {"cell": cell}}, np.array(case.x))
    assert lx.judge(lx.Result(y=np.array(y)), case).verdict == "match"


def test_only_an_orbax_folder_is_ever_replaced(tmp_path: Path) -> None:
    first, second = (lx.LSTMWeights.random(SPECS["plain"], seed) for seed in (1, 2))
    write_checkpoint(tmp_path / "m.orbax", {"enc": first})
    with pytest.raises(lx.CheckpointError, match=r"exists already.*--force"):
        write_checkpoint(tmp_path / "m.orbax", {"enc": second})
    write_checkpoint(tmp_path / "m.orbax", {"enc": second}, force=True)
    assert list(lx.load(tmp_path / "m.orbax").values()) == [second]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(lx.CheckpointError, match="is no Orbax folder"):
        write_checkpoint(tmp_path / "mine", {"enc": second}, "orbax", force=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.orbax", "mine"]
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_what_flax_lacks_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(lx.CheckpointError):
        write_checkpoint(tmp_path / "m.orbax", {"enc": lx.LSTMWeights.random(lx.LSTMSpec(X, H, proj_size=2))})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return save(tmp_path / "good", linen_model()[1], use_ocdbt=False)


def edited(good: Path, change: Callable[[dict[str, Any]], None], name: str = "_METADATA") -> Path:
    content = json.loads((good / name).read_text())
    change(content)
    (good / name).write_text(json.dumps(content))
    return good


def test_names_that_leave_the_folder_are_refused(good: Path) -> None:
    def leave(content: dict[str, Any]) -> None:
        next(iter(content["tree_metadata"].values()))["key_metadata"] = [{"key": "/../../secret", "key_type": 2}]

    assert "leaves the folder" in refusal(edited(good, leave))


@pytest.mark.parametrize("key", ["shape", "chunks"])
def test_sizes_are_checked_before_anything_is_read(good: Path, key: str) -> None:
    for array in good.glob("params*.i?.kernel"):
        edited(good, lambda content: content.update({key: [2**40, H]}), f"{array.name}/.zarray")
    assert "it was not read" in refusal(good)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "[" * 9999, '{"tree_metadata": 3}', '{"tree_metadata": {"a": {}}}']
)
def test_damaged_descriptions_are_refused(good: Path, content: str) -> None:
    (good / "_METADATA").write_text(content)
    refusal(good)


@pytest.mark.parametrize("ocdbt", [True, False], ids=["ocdbt", "folders"])
def test_altered_truncated_and_missing_files_are_refused_or_read(tmp_path: Path, ocdbt: bool) -> None:
    good = save(tmp_path / "good", linen_model()[1], use_ocdbt=ocdbt)
    files = sorted(file.relative_to(good) for file in good.rglob("*") if file.is_file())
    rng, outcomes = np.random.default_rng(3), set()
    for number, name in enumerate(files):
        bad = tmp_path / f"bad{number}"
        for how in ("truncated", "altered", "missing"):
            shutil.copytree(good, bad)
            data = bytearray((bad / name).read_bytes())
            for position in rng.integers(0, len(data), 3):
                data[position] = rng.integers(256)
            (bad / name).write_bytes(data if how == "altered" else data[: len(data) // 2])
            if how == "missing":
                (bad / name).unlink()
            try:
                read_checkpoint(bad)
                outcomes.add("read")
            except lx.CheckpointError as error:
                outcomes.add(str(error))
            shutil.rmtree(bad)
    assert not any("\n" in outcome for outcome in outcomes)
    assert len(outcomes) > 3
