"""Wrong calls of PyTorch with right weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, Result

from .checks import assert_caught_and_named, means, named

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.framework

Tensor = Any
Triple = tuple[Tensor, Tensor, Tensor]


class Call:
    """A case as a PyTorch module, tensors and the right call."""

    def __init__(self, case: Case, **options: Any) -> None:
        spec = case.spec
        self.case = case
        self.lstm = torch.nn.LSTM(
            spec.input_size, spec.hidden_size, spec.num_layers, bidirectional=spec.bidirectional,
            **{"batch_first": True, **options},
        )  # fmt: skip
        self.load({name: torch.tensor(np.array(a)) for name, a in to_layout(case.weights, "torch").items()})
        self.x, self.h0, self.c0 = (torch.tensor(np.array(a)) for a in (case.x, case.h0, case.c0))

    def load(self, arrays: dict[str, Tensor]) -> None:
        self.lstm.load_state_dict(arrays)

    def __call__(self, x: Tensor = None, h: Tensor = None, c: Tensor = None) -> Triple:
        x, h, c = (given if given is not None else own for given, own in ((x, self.x), (h, self.h0), (c, self.c0)))
        y, (h_n, c_n) = self.lstm(x, (h, c))
        return y, h_n, c_n

    def packed(self, x: Tensor, lengths: Array, **options: Any) -> Triple:
        """A call with a packed sequence, sorted unless `enforce_sorted=False`."""
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, torch.tensor(np.array(lengths)), batch_first=True, **options)
        y, (h_n, c_n) = self.lstm(packed, (self.h0, self.c0))
        return rnn.pad_packed_sequence(y, batch_first=True, total_length=self.case.steps)[0], h_n, c_n


def result_of(triple: Triple) -> Result:
    y, h_n, c_n = (tensor.detach().float().numpy() for tensor in triple)
    return Result(y=y, h_n=h_n, c_n=c_n)


def with_y(triple: Triple, change: Callable[[Tensor], Tensor]) -> Triple:
    return change(triple[0]), triple[1], triple[2]


def time_major(case: Case, x: Callable[[Tensor], Tensor], y: Callable[[Tensor], Tensor]) -> Triple:
    call = Call(case, batch_first=False)
    return with_y(call(x(call.x)), y)


def viewed(case: Case) -> Callable[[Tensor], Tensor]:
    return lambda array: array.reshape(case.steps, case.batch, -1)


def halves(y: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(y.chunk(2, dim=-1))


def swapped_directions(case: Case) -> Triple:
    call = Call(case)
    arrays = call.lstm.state_dict()
    partner = {n: n.removesuffix("_reverse") if n.endswith("_reverse") else f"{n}_reverse" for n in arrays}
    call.load({name: arrays[partner[name]].clone() for name in arrays})
    return call()


def forward_weights_twice(case: Case) -> Triple:
    call = Call(case)
    arrays = call.lstm.state_dict()
    call.load({name: arrays[name.removesuffix("_reverse")].clone() for name in arrays})
    return call()


def last_backward_state(case: Case) -> Triple:
    y, h_n, c_n = Call(case)()
    h_n = h_n.clone()
    h_n[1] = y[:, -1, case.spec.hidden_size :]
    return y, h_n, c_n


PLAIN = Case.random(LSTMSpec(input_size=5, hidden_size=6), steps=6, batch=4, seed=2, id="plain")
SQUARE = Case.random(LSTMSpec(input_size=5, hidden_size=6), steps=5, batch=5, seed=2, id="batch-is-steps")
BOTH = Case.random(LSTMSpec(input_size=5, hidden_size=6, bidirectional=True), steps=6, batch=4, seed=2, id="both")
USER = Case.random(
    LSTMSpec(input_size=5, hidden_size=6, bidirectional=True), steps=6, batch=4, seed=2, init="torch", id="both-user"
)


def picked(case: Case, *order: int) -> Triple:
    """y, h_n and c_n of a call, in another order."""
    answers = Call(case)()
    first, second, third = (answers[k] for k in order)
    return first, second, third


CALLS: dict[str, tuple[list[Case], Callable[[Case], Triple]]] = {
    "h0-c0-exchanged": ([PLAIN, BOTH, USER], lambda case: (call := Call(case))(h=call.c0, c=call.h0)),
    "h-c-exchanged": ([PLAIN, BOTH, USER], lambda case: picked(case, 0, 2, 1)),
    "h-for-c": ([PLAIN], lambda case: picked(case, 0, 1, 1)),
    "h0-ignored": ([PLAIN, USER], lambda case: (call := Call(case))(h=torch.zeros_like(call.h0))),
    "c0-ignored": ([PLAIN, USER], lambda case: (call := Call(case))(c=torch.zeros_like(call.c0))),
    "states-ignored": ([PLAIN], lambda case: (call := Call(case))(h=call.h0 * 0, c=call.c0 * 0)),
    "states-carried-over": ([PLAIN, USER], lambda case: (call := Call(case))(None, *call()[1:])),
    "states-batch-reversed": ([PLAIN], lambda case: (call := Call(case))(h=call.h0.flip(1), c=call.c0.flip(1))),
    "reads-backward": ([PLAIN], lambda case: (call := Call(case))(call.x.flip(1))),
    "reads-backward-aligned": (
        [PLAIN], lambda case: with_y((call := Call(case))(call.x.flip(1)), lambda y: y.flip(1)),
    ),
    "output-reversed": ([PLAIN, USER], lambda case: with_y(Call(case)(), lambda y: y.flip(1))),
    "features-reversed": ([PLAIN, USER], lambda case: (call := Call(case))(call.x.flip(2))),
    "backward-not-reversed-back": (
        [BOTH, USER],
        lambda case: with_y(Call(case)(), lambda y: torch.cat([halves(y)[0], halves(y)[1].flip(1)], dim=-1)),
    ),
    "halves-exchanged": ([BOTH, USER], lambda case: with_y(Call(case)(), lambda y: torch.cat(halves(y)[::-1], dim=-1))),
    "halves-interleaved": (
        [BOTH], lambda case: with_y(Call(case)(), lambda y: torch.stack(halves(y), dim=-1).flatten(2)),
    ),
    "backward-missing": (
        [BOTH, USER], lambda case: with_y(Call(case)(), lambda y: torch.cat([halves(y)[0], 0 * halves(y)[1]], dim=-1)),
    ),
    "merge-sum": ([BOTH, USER], lambda case: with_y(Call(case)(), lambda y: sum(halves(y)))),
    "merge-average": ([BOTH], lambda case: with_y(Call(case)(), lambda y: sum(halves(y)) / 2)),
    "directions-exchanged": ([BOTH, USER], swapped_directions),
    "forward-weights-twice": ([BOTH, USER], forward_weights_twice),
    "backward-state-at-last-time": ([BOTH, USER], last_backward_state),
    "initial-directions": ([BOTH, USER], lambda case: (call := Call(case))(h=call.h0.flip(0), c=call.c0.flip(0))),
    "final-directions": ([BOTH, USER], lambda case: ((t := Call(case)())[0], t[1].flip(0), t[2].flip(0))),
    "batch-time-exchanged": ([SQUARE], lambda case: time_major(case, lambda x: x, lambda y: y)),
    "batch-time-exchanged-input": ([SQUARE], lambda case: time_major(case, lambda x: x, lambda y: y.transpose(0, 1))),
    "batch-time-exchanged-output": ([SQUARE], lambda case: with_y(Call(case)(), lambda y: y.transpose(0, 1))),
    "input-viewed": ([PLAIN, BOTH], lambda case: time_major(case, viewed(case), lambda y: y.transpose(0, 1))),
    "output-viewed": (
        [PLAIN],
        lambda case: time_major(case, lambda x: x.transpose(0, 1), lambda y: y.reshape(case.batch, case.steps, -1)),
    ),
    "input-and-output-viewed": (
        [PLAIN], lambda case: time_major(case, viewed(case), lambda y: y.reshape(case.batch, case.steps, -1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("id", "case"),
    [(id, case) for id, (cases, _) in CALLS.items() for case in cases],
    ids=lambda value: value if isinstance(value, str) else value.id,
)
def test_a_wrong_call_is_caught_and_named(id: str, case: Case) -> None:
    _, wrong = CALLS[id]
    with torch.no_grad():
        assert judge(result_of(Call(case)()), case).verdict == "match"
        assert_caught_and_named(result_of(wrong(case)), named(id), case)


RAGGED = replace(PLAIN, lengths=np.array([3, 6, 2, 4]), id="ragged")


def last_step(call: Call, lengths: Array) -> Triple:
    y, _, c_n = call.packed(call.x, lengths, enforce_sorted=False)
    return y, y[None, :, -1], c_n


def repeated_last(call: Call, lengths: Array) -> Triple:
    y, h_n, c_n = call.packed(call.x, lengths, enforce_sorted=False)
    y = y.clone()
    for row, length in enumerate(lengths):
        y[row, length:] = y[row, length - 1]
    return y, h_n, c_n


def masked(call: Call, lengths: Array) -> Triple:
    y, h_n, c_n = call()
    return y * (torch.arange(y.shape[1])[None, :, None] < torch.tensor(np.array(lengths))[:, None, None]), h_n, c_n


def left_sorted(call: Call, lengths: Array) -> Triple:
    order = torch.tensor(np.argsort(-lengths, kind="stable"))
    call.h0, call.c0 = call.h0[:, order], call.c0[:, order]
    return call.packed(call.x[order], lengths[order.numpy()])


LENGTHS: dict[str, Callable[[Call, Array], Triple]] = {
    "lengths-ignored": lambda call, lengths: call(),
    "lengths-ignored-then-masked": masked,
    "last-step-state": last_step,
    "padding-held": repeated_last,
    "padding-zero": lambda call, lengths: call.packed(call.x, lengths, enforce_sorted=False),
    "rows-left-sorted": left_sorted,
    "lengths-sorted": lambda call, lengths: call.packed(call.x, np.sort(lengths)[::-1].copy()),
    "lengths-one-short": lambda call, lengths: call.packed(call.x, np.maximum(lengths - 1, 1), enforce_sorted=False),
    "lengths-one-long": lambda call, lengths: call.packed(
        call.x, np.minimum(lengths + 1, call.case.steps), enforce_sorted=False
    ),
    "lengths-shortest": lambda call, lengths: call.packed(call.x, 0 * lengths + lengths.min()),
}


@pytest.mark.parametrize("id", LENGTHS)
def test_wrong_lengths_are_caught_and_named(id: str) -> None:
    lengths, repeats = np.asarray(RAGGED.lengths), id == "padding-zero"
    case = replace(RAGGED, padding="held", id="held") if repeats else RAGGED
    with torch.no_grad():
        right = LENGTHS["padding-held" if repeats else "padding-zero"](Call(case), lengths)
        assert judge(result_of(right), case).verdict == "match"
        assert_caught_and_named(result_of(LENGTHS[id](Call(case), lengths)), named(id), case)


OF_LAYERS = ("layers-reversed", "layer-first-reused", "layer-top-missing")


@pytest.mark.parametrize("id", OF_LAYERS)
def test_layers_confused_are_caught_and_named(id: str, torch_run: Callable[[Case], Result]) -> None:
    spec = LSTMSpec(input_size=6, hidden_size=6, num_layers=3)
    case = Case.random(spec, steps=6, batch=4, seed=2, id="stack")
    mistake = named(id)
    wrong = mistake.change_case(case)
    assert wrong is not None
    right = torch_run(case)
    assert judge(right, case).verdict == "match"
    result = torch_run(wrong)
    if id == "layer-top-missing":
        result = Result(y=right.layer_outputs[-1], h_n=right.h_n, c_n=right.c_n, layer_outputs=right.layer_outputs)
    assert_caught_and_named(result, mistake, case)


# --- rougher arithmetic ---


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", [PLAIN, USER], ids=lambda case: case.id)
def test_half_precision_is_caught_and_named(name: str, case: Case) -> None:
    call, dtype = Call(case), getattr(torch, name)
    call.lstm = call.lstm.to(dtype)
    with torch.no_grad():
        result = result_of(call(call.x.to(dtype), call.h0.to(dtype), call.c0.to(dtype)))
    assert judge(result, case).verdict == "mismatch"
    assert diagnose(result, case).mistakes == (f"computed-in-{name}",)


def shortened(tensor: Tensor, bits: int, *, cut: bool) -> Tensor:
    """Numbers with fewer significant bits, as operands of matrix units."""
    drop = 24 - bits
    integers = tensor.contiguous().view(torch.int32)
    half = 0 if cut else (1 << (drop - 1)) - 1 + ((integers >> drop) & 1)
    return ((integers + half) & ~((1 << drop) - 1)).view(torch.float32)


@pytest.mark.parametrize("cut", [False, True], ids=["rounded", "cut"])
@pytest.mark.parametrize(("name", "bits"), [("tf32", 11), ("bfloat16", 8)])
@pytest.mark.parametrize("case", [PLAIN, USER], ids=lambda case: case.id)
def test_short_operands_are_caught_and_named(name: str, bits: int, cut: bool, case: Case) -> None:
    if case.spec.bidirectional:
        spec = LSTMSpec(input_size=5, hidden_size=6)
        case = Case.random(spec, steps=6, batch=4, seed=2, init="torch", id="user")

    def short(tensor: Tensor) -> Tensor:
        return shortened(tensor, bits, cut=cut)

    call = Call(case)
    w, u, b_x, b_h = (parameter.detach() for parameter in call.lstm.parameters())
    h, c, outputs = call.h0[0], call.c0[0], []
    for t in range(case.steps):
        z = short(call.x[:, t]) @ short(w).T + b_x + (short(h) @ short(u).T + b_h)
        i, f, g, o = z.chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    result = result_of((torch.stack(outputs, dim=1), h[None], c[None]))
    assert judge(result, case).verdict in ("mismatch", "suspect")
    assert diagnose(result, case).mistakes == (f"computed-in-{name}-{'cut' if cut else 'rounded'}",)


# --- another function, which the scan on JAX can be asked for ---


FUNCTIONS = (
    "hard-sigmoid-keras2", "hard-sigmoid-keras3", "activations-swapped", "activation-relu", "output-linear",
    "cell-clip-1", "gate-clip-1", "coupled-f", "coupled-i",
)  # fmt: skip


@pytest.mark.parametrize("id", FUNCTIONS)
def test_another_function_is_caught_and_named(workers: Callable[[str], Callable[[Case], Result]], id: str) -> None:
    mistake = named(id)
    wrong = mistake.change_case(PLAIN)
    assert wrong is not None and wrong.spec != PLAIN.spec
    result = workers("jax")(wrong)
    assert_caught_and_named(result, mistake, PLAIN)
    assert means(diagnose(Result(y=result.y), PLAIN, pairs=False), mistake, PLAIN)
