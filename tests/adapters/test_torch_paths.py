"""Paths from `nn.LSTM`: each runs what it made of the loaded module, and never the module in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.adapters.protocol import Adapter, Differentiates, Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.compare.judge import judge
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

from ..helpers import run_python

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what exporters import
]
torch = pytest.importorskip("torch")

PLAIN = LSTMSpec(3, 4)
DEEP = LSTMSpec(5, 4, num_layers=2, bidirectional=True)
PROJECTED = LSTMSpec(3, 4, proj_size=2)
SMALL = {"steps": 3, "batch": 2}
BY_LAYERS = ("torchscript", "torch-autocast", "torch-export", "torch-onnx-script")
PATHS = (*BY_LAYERS, "torch-export-decomposed", "torch-onnx")
NO_LENGTHS = ("torch-export", "torch-export-decomposed", "torch-onnx", "torch-compile")
DIFFERENTIATE = {"torchscript", "torch-export", "torch-export-decomposed"}


def adapter(name: str) -> Adapter:
    if "onnx" in name:
        for module in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(module)
    return load_adapter(entry_named(name).target, name)


def verdict(session: Session, case: Case) -> str:
    return judge(session.execute(case), case, layout="torch").verdict


@pytest.mark.parametrize("name", PATHS)
def test_single_layers_agree(name: str) -> None:
    session = Session(adapter(name))
    case = Case.random(replace(PLAIN, bias="single"), seed=4, steps=2, batch=1, states=False, returns="last")
    assert verdict(session, case) == "match"
    if name in BY_LAYERS:  # others take seconds for each shape
        assert verdict(session, replace(case, x=np.concatenate([case.x, -case.x], axis=1))) == "match"


@pytest.mark.parametrize("name", BY_LAYERS)
def test_deep_stacks_agree_layer_by_layer(name: str) -> None:
    path = adapter(name)
    ragged = name not in NO_LENGTHS
    case = Case.random(DEEP, seed=5, ragged=ragged, returns="last")
    result = Session(path).execute(case)
    assert len(result.layer_outputs) == 1
    assert judge(result, case, layout="torch").verdict == "match"
    without = Case.random(replace(DEEP, bias="none"), seed=6, ragged=ragged, states=False)
    assert verdict(Session(path), without) == "match"


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("torchscript", "float64"),
        ("torchscript", "bfloat16"),
        ("torch-export", "float64"),
        ("torch-export", "float16"),
        ("torch-onnx-script", "float16"),
        ("torch-autocast", "bfloat16"),
    ],
)
def test_other_precisions_agree(name: str, precision: str) -> None:
    assert verdict(Session(adapter(name)), Case.random(PLAIN, seed=7, precision=precision, **SMALL)) == "match"


@pytest.mark.parametrize("name", ["torchscript", "torch-export", "torch-autocast"])
def test_projections_agree(name: str) -> None:
    assert verdict(Session(adapter(name)), Case.random(PROJECTED, seed=8, **SMALL)) == "match"


@pytest.mark.parametrize("name", PATHS)
def test_programs_are_made_once_for_a_shape_and_anew_for_other_weights(name: str) -> None:
    path = adapter(name)
    made: list[object] = []
    transform = path.transform  # type: ignore[attr-defined]

    def counted(*arguments: object) -> Callable[..., object]:
        made.append(arguments)
        return transform(*arguments)  # type: ignore[no-any-return]

    path.transform = counted  # type: ignore[attr-defined]
    session = Session(path)
    case = Case.random(PLAIN, seed=1, **SMALL)
    other = replace(case, weights=LSTMWeights.random(PLAIN, seed=2))
    assert [verdict(session, each) for each in (case, case, other)] == ["match"] * 3
    assert len(made) == 2


@pytest.mark.parametrize("name", ["torchscript", "torch-onnx-script", "torch-export"])
def test_other_weights_in_the_program_are_a_mismatch(name: str) -> None:
    path = adapter(name)
    case = Case.random(PLAIN, seed=1, **SMALL)
    model = path.build(PLAIN, "float32")
    path.load(model, to_layout(LSTMWeights.random(PLAIN, seed=2), "torch"))
    assert judge(path.run(model, case), case).verdict == "mismatch"


def test_only_programs_that_autograd_reaches_give_gradients() -> None:
    found = {name for name in (*PATHS, "torch-compile") if isinstance(adapter(name), Differentiates)}
    assert found == DIFFERENTIATE
    with pytest.raises(Unsupported, match="torch-autocast gives none"):
        Session(adapter("torch-autocast")).execute(Case.random(PLAIN, gradients=True))


@pytest.mark.parametrize(("name", "ragged"), [("torchscript", True), ("torchscript", False), ("torch-export", False)])
def test_gradients_agree(name: str, ragged: bool) -> None:
    case = Case.random(DEEP, seed=9, ragged=ragged, gradients=True)
    result = Session(adapter(name)).execute(case)
    assert {"x", "h0", "c0", "1.1.U"} <= set(result.gradients)
    assert judge(result, case, layout="torch").verdict == "match"


def test_gradients_of_decomposed_steps_agree() -> None:
    case = Case.random(replace(PLAIN, bidirectional=True), seed=10, gradients=True, **SMALL)
    assert verdict(Session(adapter("torch-export-decomposed")), case) == "match"


@pytest.mark.parametrize(
    ("name", "case", "reason"),
    [
        *((name, Case.random(PLAIN, ragged=True), "lengths: .* refuses pack_padded_sequence") for name in NO_LENGTHS),
        *((name, Case.random(LSTMSpec(3, 4, peepholes=True)), "peepholes") for name in (*PATHS, "torch-compile")),
        ("torch-autocast", Case.random(PLAIN, precision="float64"), "casts an LSTM in float32 to bfloat16 alone"),
        ("torch-autocast", Case.random(PLAIN, precision="float16"), "casts an LSTM in float32 to bfloat16 alone"),
        ("torch-onnx", Case.random(PLAIN, precision="float64"), "takes float32 and float16 alone"),
        ("torch-onnx-script", Case.random(PLAIN, precision="bfloat16"), "takes float32 and float16 alone"),
        ("torch-onnx-script", Case.random(PROJECTED), "refuses LSTMs with projections"),
    ],
)
def test_what_a_path_cannot_do_it_says(name: str, case: Case, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        Session(adapter(name)).execute(case)


def test_autocast_computes_in_bfloat16_and_says_so() -> None:
    result = Session(adapter("torch-autocast")).execute(Case.random(PLAIN, ragged=True))
    assert (result.computed_in, "casts weights" in result.note) == ("bfloat16", True)


def test_the_type_that_autocast_returns_depends_on_lengths() -> None:
    lstm, x = torch.nn.LSTM(3, 4, batch_first=True), torch.ones(2, 5, 3)
    pack = torch.nn.utils.rnn.pack_padded_sequence
    with torch.autocast("cpu", dtype=torch.bfloat16):
        types = [lstm(pack(x, torch.tensor(lengths), batch_first=True))[1][0].dtype for lengths in ([5, 5], [5, 3])]
    assert types == [torch.bfloat16, torch.float32]


def test_a_projection_that_is_exported_wrong_in_silence_is_refused_with_its_shapes() -> None:
    with pytest.raises(Unsupported, match=r"wrote W of shape \(1, 8, 3\) in silence, .* asks for 16 rows"):
        Session(adapter("torch-onnx")).execute(Case.random(PROJECTED, **SMALL))


def test_torch_compile_as_users_write_it_compiles_nothing() -> None:
    import torch._dynamo
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    lstm, x = torch.nn.LSTM(3, 4, batch_first=True), torch.ones(2, 5, 3)
    with torch.no_grad():
        compiled, _ = torch.compile(lstm, backend="eager")(x)
        assert np.array_equal(compiled, lstm(x)[0])
    assert counters["stats"]["unique_graphs"] == 0


NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")


@NEEDS_COMPILER
@pytest.mark.slow
def test_torch_compile_with_allow_rnn_compiles_and_agrees() -> None:
    import torch._dynamo

    case = Case.random(PLAIN, seed=1, **SMALL)
    session = Session(adapter("torch-compile"))
    assert verdict(session, case) == "match"
    assert verdict(session, replace(case, weights=LSTMWeights.random(PLAIN, seed=2))) == "match"
    assert torch._dynamo.config.allow_rnn is False


@NEEDS_COMPILER
def test_torch_compile_without_a_graph_is_refused() -> None:
    path = adapter("torch-compile")
    with torch.compiler.set_stance("force_eager"), pytest.raises(Unsupported, match="compiled nothing"):
        Session(path).execute(Case.random(PLAIN, **SMALL))


def test_torch_compile_without_a_compiler_is_refused() -> None:
    code = """
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case, LSTMSpec
try:
    Session(load_adapter(entry_named("torch-compile").target, "torch-compile")).execute(Case.random(LSTMSpec(3, 4)))
except Unsupported as reason:
    print(reason)
"""
    printed = run_python(code, PATH="/nowhere", CXX="no-such-compiler")
    assert printed.strip() == "torch.compile needs a C++ compiler, and found none"
