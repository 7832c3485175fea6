"""TorchScript: weights of scripted and traced modules judged against the module itself; nothing in a file is run."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint

from ..damage import outcomes_of_alterations, refusal

torch = pytest.importorskip("torch")

#: PyTorch 2.13 calls TorchScript deprecated; files of it remain.
pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning"),
]

X, H = 5, 4


class Model(torch.nn.Module):  # type: ignore[misc,name-defined]
    """LSTMs of every kind, other layers, buffers and plain attributes."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.enc = torch.nn.LSTM(X, H, 2, batch_first=True, **options)
        width = (options.get("proj_size") or H) * (2 if options.get("bidirectional") else 1)
        self.cell = torch.nn.LSTMCell(width, 3)
        self.gru = torch.nn.GRU(width, 3)
        self.head = torch.nn.Linear(3, 2)
        self.register_buffer("shift", torch.ones(2))
        self.names, self.scale = ["a", "b"], 2.5

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[name-defined]
        y, _ = self.enc(x)
        h, _ = self.cell(y[:, 0])
        return y, self.head(h + self.gru(y)[0][:, 0]) + self.shift


def program(model: Any, how: str) -> Any:
    return torch.jit.script(model) if how == "scripted" else torch.jit.trace(model, torch.zeros(3, 7, X))


@pytest.mark.parametrize("how", ["scripted", "traced"])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"bidirectional": True}, {"proj_size": 2}],
    ids=["plain", "no-bias", "bidirectional", "projection"],
)
def test_the_program_computes_what_is_read(tmp_path: Path, options: dict[str, Any], how: str) -> None:
    torch.manual_seed(1)
    model = Model(**options).eval()
    program(model, how).save(tmp_path / "m.pt")
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    assert checkpoint.format == "torchscript"
    enc, cell = checkpoint.lstms
    assert (enc.name, cell.name) == ("enc", "cell")
    state = model.state_dict()
    assert set(enc.tensors) | set(cell.tensors) | {t.name for t in checkpoint.other} == set(state)
    assert {tensor.name for tensor in checkpoint.other if "GRU" in tensor.note} == {k for k in state if "gru" in k}
    case = lx.Case.random(enc.weights.spec, weights=enc.weights, states=False)
    with torch.no_grad():
        y, _ = torch.jit.load(tmp_path / "m.pt")(torch.from_numpy(np.array(case.x)))
    assert lx.judge(lx.Result(y=y.numpy()), case).verdict == "match"


class Coupled(torch.nn.LSTMCell):  # type: ignore[misc,name-defined]
    """An LSTMCell by its weights, with a formula of its own."""

    def forward(self, x, h, c):  # type: ignore[no-untyped-def]
        z = x @ self.weight_ih.t() + self.bias_ih + h @ self.weight_hh.t() + self.bias_hh
        i, _, g, o = z.chunk(4, -1)
        c = (1 - torch.sigmoid(i)) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Holder(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A class of one's own beside PyTorch's."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.plain = Coupled(X, H), torch.nn.LSTMCell(X, H)

    def forward(self, x, h, c):  # type: ignore[no-untyped-def]
        return self.own(x, h, c)[0], self.plain(x, (h, c))[0]


@pytest.mark.parametrize("how", ["scripted", "traced", "exported"])
def test_a_class_of_ones_own_is_not_read(tmp_path: Path, how: str) -> None:
    """Its weights, read as an LSTMCell's, are not what it computes; those of PyTorch's class beside it are."""
    model, path = Holder().eval(), tmp_path / ("m.pt2" if how == "exported" else "m.pt")
    given = torch.randn(1, 3, X)[0], *torch.randn(2, 3, H)
    if how == "exported":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(model, given), path)
    else:
        (torch.jit.script(model) if how == "scripted" else torch.jit.trace(model, given)).save(path)
    checkpoint = read_checkpoint(path)
    assert [lstm.name for lstm in checkpoint.lstms] == ["plain"]
    (unread,) = checkpoint.unread
    assert (unread.name, "Coupled, a class that may compute anything" in unread.why) == ("own", True)
    with torch.no_grad():
        outputs = dict(zip(("own", "plain"), model(*given), strict=True))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    for name, weights in lx.load(tmp_path / "state.pt").items():
        case = lx.Case(
            weights=weights, x=given[0][:, None].numpy(), h0=given[1][None].numpy(), c0=given[2][None].numpy()
        )
        found = lx.judge(lx.Result(y=outputs[name][:, None].numpy()), case)
        assert found.verdict == ("match" if name == "plain" else "mismatch")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_precision_is_kept(tmp_path: Path, dtype: Any) -> None:
    lstm = torch.nn.LSTM(X, H).to(dtype)
    torch.jit.script(lstm).save(tmp_path / "m.pt")
    torch.save(lstm.state_dict(), tmp_path / "state.pt")
    assert lx.load(tmp_path / "m.pt") == lx.load(tmp_path / "state.pt")


def test_a_frozen_program_says_what_to_do(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(Model().eval())).save(tmp_path / "m.pt")
    with pytest.raises(lx.CheckpointError, match=r"constants\.0 .*save it before torch\.jit\.freeze"):
        lx.load(tmp_path / "m.pt")


def test_a_program_is_no_file_to_fill(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.LSTM(X, H)).save(tmp_path / "m.pt")
    weights = lx.load(tmp_path / "m.pt")
    with pytest.raises(lx.CheckpointError, match="is no PyTorch file"):
        write_checkpoint(tmp_path / "new.pt", weights, like=tmp_path / "m.pt")


@pytest.fixture
def crafted(tmp_path: Path) -> Callable[[bytes], Path]:
    """A program with any `data.pkl`."""

    def write(content: bytes) -> Path:
        path = tmp_path / "crafted.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("crafted/data.pkl", content)
            archive.writestr("crafted/constants.pkl", pickle.dumps((), 2))
        return path

    return write


HOSTILE = {
    "system": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "object-of-another": b"\x80\x02cbuiltins\nset\n)\x81.",
    "arguments": b"\x80\x02c__torch__\nM\nK\x01\x85\x81.",
    "lookalike": b"\x80\x02c__torch__evil\nM\n)\x81.",
    "jit-load": b"\x80\x02ctorch.jit._pickle\nbuild_tensor_from_id\nK\x01\x85R.",
    "build-nothing": b"\x80\x02c__torch__\nM\n)\x81b.",
    "no-object": b"\x80\x02c__torch__\nM\nb.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused(crafted: Callable[[bytes], Path], content: bytes) -> None:
    refusal(crafted(content))


def test_an_object_within_itself_ends(crafted: Callable[[bytes], Path]) -> None:
    own = b"\x80\x02c__torch__\nM\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."
    with pytest.raises(lx.CheckpointError, match="no tensor at all"):
        lx.load(crafted(own))


def test_truncated_and_altered_programs_are_refused_or_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.LSTM(X, H)), buffer)
    data, path = buffer.getvalue(), tmp_path / "m.pt"
    for length in range(1, len(data) - 1, 701):
        path.write_bytes(data[:length])
        refusal(path)
    assert len(outcomes_of_alterations(path, data, 150)) > 2
