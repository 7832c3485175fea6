"""A reproducer fails with the mistake, passes without it, and needs no lstm-xcheck."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.adapters import Entry, entry_named
from lstm_xcheck.arrays import round_to
from lstm_xcheck.engine import Recipe
from lstm_xcheck.fuzz import CannotReproduce, Finding, reproducer
from lstm_xcheck.fuzz.literals import literal
from lstm_xcheck.fuzz.script import TEST
from lstm_xcheck.fuzz.search import answered
from lstm_xcheck.workers.process import Worker

from ..helpers import Command

Pytest = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("function", ["wrong_gates", "lengths_ignored", "halves_exchanged", "forgetful"])
def test_the_file_fails_with_the_mistake_and_passes_without_it(
    command: Command, folder: Path, function: str, without_xcheck: Pytest
) -> None:
    ran = command("fuzz", "--adapter", f"mine=kernels:{function}", "--examples", "60")
    assert ran.code == 1
    assert "reproducer: test_xcheck_mine.py (run once: it fails, as it should)" in ran.out
    file = folder / "test_xcheck_mine.py"
    failing = without_xcheck(file)
    assert failing.returncode == 1
    assert "elements are wrong" in failing.stdout
    with (folder / "kernels.py").open("a", encoding="utf-8") as kernels:
        kernels.write(f"\n\n{function} = right\n")
    passing = without_xcheck(file)
    assert passing.returncode == 0, passing.stdout
    assert "1 passed" in passing.stdout


def test_the_file_finds_the_function_from_another_folder(
    command: Command, folder: Path, without_xcheck: Pytest
) -> None:
    (folder / "tests").mkdir()
    ran = command("fuzz", "--adapter", "mine=kernels:wrong_gates", "--out", "tests/test_mine.py")
    assert ran.code == 1
    assert "as it should" in ran.out
    assert without_xcheck(folder / "tests" / "test_mine.py").returncode == 1


TORCH_KERNEL = '''
import torch
import kernels


def lstm(weights, x, h0, c0, lengths):
    """nn.LSTM with the weights of ONNX's gate order."""
    spec = weights.spec
    if lengths is not None or spec.proj_size:
        raise NotImplementedError("no padding, no projection")
    net = torch.nn.LSTM(spec.input_size, spec.hidden_size, spec.num_layers, bias=spec.bias != "none", batch_first=True,
                        bidirectional=spec.bidirectional)
    state = {name: torch.tensor(array) for name, array in weights.to_layout("torch").items()}
    net.load_state_dict({name: torch.cat([tensor.chunk(4)[k] for k in ORDER]) for name, tensor in state.items()})
    with torch.no_grad():
        y, (h, c) = net(torch.tensor(x), (torch.tensor(h0), torch.tensor(c0)))
    return y, h, c


ORDER = (0, 3, 1, 2)
'''


@pytest.mark.framework("torch")
def test_a_mistake_around_torch(command: Command, folder: Path, without_xcheck: Pytest) -> None:
    (folder / "ported.py").write_text(TORCH_KERNEL, encoding="utf-8")
    ran = command("fuzz", "--adapter", "mine=ported:lstm", "--grid", "bias=split,none", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["finding"]["diagnosis"]["mistakes"] == ["gates-iofg"]
    assert without_xcheck(folder / "test_xcheck_mine.py").returncode == 1
    with (folder / "ported.py").open("a", encoding="utf-8") as file:
        file.write("\nORDER = (0, 1, 2, 3)\n")
    assert without_xcheck(folder / "test_xcheck_mine.py").returncode == 0


#: Runs the test as it is, which must pass, and with bounds that no rounding can keep, which must fail.
BOTH = f"""
import runpy, sys
test = runpy.run_path(sys.argv[1])[{TEST!r}]
test()
bound = test.__globals__["BOUND"]
bound.update({{name: array * 1e-4 for name, array in bound.items()}})
try:
    test()
except AssertionError as error:
    print("caught", error)
"""


@pytest.mark.framework
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(hidden=3, input=2, steps=4, layers=2, directions=2, ragged=True),
        Recipe(hidden=3, input=2, steps=4, bias="single", states=False),
        Recipe(hidden=3, input=2, steps=4, feature="c0-only"),
    ],
    ids=["stack-of-both-directions", "one-layer", "c0-only"],
)
@pytest.mark.parametrize("name", ["torch", "jax", "keras-jax"])
def test_the_call_of_a_framework_is_right_and_the_bound_decides(tmp_path: Path, name: str, recipe: Recipe) -> None:
    entry = entry_named(name)
    for module in entry.requires:
        pytest.importorskip(module)
    file = tmp_path / "test_it.py"
    file.write_text(reproducer(honest(entry, recipe), entry, None, tmp_path), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", BOTH, str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("caught y[0, 0, 0] = ")


def honest(entry: Entry, recipe: Recipe) -> Finding:
    """A finding without anything wrong in it."""
    with Worker(entry) as worker:
        outcome, result = answered(worker, recipe)
    assert outcome.verdict == "match"
    return Finding(recipe, entry.name, outcome, result, True, 1, 0)


OTHER_KERAS = replace(entry_named("keras-jax"), call_versions={"numpy": "9."})


@pytest.mark.parametrize("entry", [Entry("torch", "elsewhere:Adapter"), OTHER_KERAS], ids=["elsewhere", "version"])
def test_an_unknown_adapter_or_version_has_no_call(tmp_path: Path, entry: Entry) -> None:
    recipe = Recipe(hidden=1)
    own = Entry(
        "mine",
        "lstm_xcheck.adapters.function:FunctionAdapter",
        variables={"LSTM_XCHECK_FUNCTION": "kernels:right"},
        path=(str(Path(__file__).parent),),
    )
    with pytest.raises(CannotReproduce, match=f"a call of {entry.name} without lstm-xcheck is not known"):
        reproducer(honest(own, recipe), entry, None, tmp_path)


@pytest.mark.parametrize("feature", ["left-mask", "rows-alone", "after-another"])
def test_what_the_script_does_not_say_has_none(tmp_path: Path, feature: str) -> None:
    recipe = Recipe(hidden=1)
    entry = Entry(
        "mine",
        "lstm_xcheck.adapters.function:FunctionAdapter",
        variables={"LSTM_XCHECK_FUNCTION": "kernels:right"},
        path=(str(Path(__file__).parent),),
    )
    finding = replace(honest(entry, recipe), recipe=replace(recipe, feature="twice"))
    assert "CALLS = 2\n" in reproducer(finding, entry, None, tmp_path)
    finding = replace(finding, recipe=replace(recipe, feature=feature))
    with pytest.raises(CannotReproduce, match=f"a script for {feature} without lstm-xcheck is not known"):
        reproducer(finding, entry, None, tmp_path)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 3), (1, 40, 3)], ids=["digits", "base64"])
def test_a_literal_gives_back_every_bit(dtype: str, shape: tuple[int, ...]) -> None:
    import base64

    array = round_to(np.random.default_rng(0).normal(size=shape) * 1e-3, dtype)

    def unpack(kind: str, shape: tuple[int, ...], text: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(text), kind).reshape(shape)

    again = eval(literal(array), {"np": np, "unpack": unpack})
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()
