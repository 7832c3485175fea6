"""Adapters in NumPy for real workers: an honest one, and one for each fault.

The id of a case, `bad-<fault>`, chooses a fault; every other case is answered honestly. One sweep shows both the row of
a fault and that later tasks are unharmed.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_xcheck.arrays import STORAGE, Array
from lstm_xcheck.model import Case, LSTMSpec, Result


class Honest:
    """One layer, one direction, in plain NumPy."""

    layout = "torch"

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        return {"numpy": np.__version__, "python": sys.version.split()[0]}

    def unsupported(self, case: Case) -> str | None:
        spec = case.spec
        if not spec.is_plain or spec.num_layers > 1 or spec.bidirectional or spec.proj_size:
            return "stacks, both directions, projections: this loop has one plain layer"
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> dict[str, Array]:
        return {}

    def load(self, model: dict[str, Array], arrays: Mapping[str, Array]) -> None:
        model.clear()
        model.update({name: np.array(array) for name, array in arrays.items()})

    def read_back(self, model: dict[str, Array]) -> dict[str, Array]:
        return dict(model)

    def count_parameters(self, model: dict[str, Array]) -> int:
        return sum(array.size for array in model.values())

    def run(self, model: dict[str, Array], case: Case) -> Result:
        kind = STORAGE[case.precision]
        h, c = (case.initial(name, 0, 0).astype(kind) for name in ("h0", "c0"))
        bias = model.get("bias_ih_l0", kind(0)) + model.get("bias_hh_l0", kind(0))
        y = np.zeros((case.batch, case.steps, case.spec.hidden_size), kind)
        for t in range(case.steps):
            z = case.x[:, t] @ model["weight_ih_l0"].T + h @ model["weight_hh_l0"].T + bias
            i, f, g, o = np.split(z, 4, axis=1)
            new_c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            keep = case.valid[:, t, None]
            c = np.where(keep, new_c, c)
            h = np.where(keep, _sigmoid(o) * np.tanh(new_c), h)
            y[:, t] = np.where(keep, h, kind(0))
        return Result(y=y, h_n=h[None], c_n=c[None], last=h if case.returns == "last" else None)


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


class Faulty(Honest):
    """Honest, but for cases named `bad-<fault>`."""

    def run(self, model: dict[str, Array], case: Case) -> Any:
        result = super().run(model, case)
        kind, _, fault = case.id.partition("-")
        return FAULTS[fault](result) if kind == "bad" else result


def _folder() -> Path:
    """Where a fault leaves a trace for the test to find."""
    return Path(os.environ["FAULTY_FOLDER"])


def _raise(result: Result) -> Result:
    raise ValueError("the framework did not like it")


def _exit(result: Result) -> Result:
    sys.stderr.write("leaving now\n")
    sys.exit(3)


def _exit_hard(result: Result) -> Result:
    os._exit(0)


def _kill_itself(number: signal.Signals) -> Callable[[Result], Result]:
    def fault(result: Result) -> Result:
        sys.stderr.write("first of the last words\nlast words of the worker\n")
        sys.stderr.flush()
        os.kill(os.getpid(), number)
        time.sleep(60)
        return result

    return fault


def _abort(result: Result) -> Result:
    os.abort()


def _hang(result: Result) -> Result:
    """With a child of its own, which must not survive it."""
    child = subprocess.Popen(["sleep", "600"])
    (_folder() / "child").write_text(str(child.pid), encoding="ascii")
    sys.stderr.write("going to sleep\n")
    sys.stderr.flush()
    time.sleep(600)
    return result


def _print_noise(result: Result) -> Result:
    print("noise " * 10_000)  # noqa: T201
    sys.stdout.flush()
    return result


def _write_noise(result: Result) -> Result:
    os.write(1, b"\x00\xffLXC1 noise\n" * 1000)
    subprocess.run(["echo", "noise of a child"], check=True)
    return result


def _read_input(result: Result) -> Result:
    """A read of stdin gets the end of file, not the next case."""
    assert sys.stdin.read() == ""
    return result


def protocol_pipe() -> int:
    """The pipe to the driver: open for writing, and not stderr."""
    import fcntl

    for fd in range(3, 256):
        try:
            mode, flags = os.fstat(fd), fcntl.fcntl(fd, fcntl.F_GETFL)
        except OSError:
            continue
        if stat.S_ISFIFO(mode.st_mode) and flags & os.O_ACCMODE == os.O_WRONLY and mode.st_ino != os.fstat(2).st_ino:
            return fd
    raise RuntimeError("no pipe found")


def _corrupt_pipe(result: Result) -> Result:
    os.write(protocol_pipe(), b"this is no frame, but it is long enough to be taken for one")
    return result


def _fake_frame(result: Result) -> Result:
    from lstm_xcheck.workers.frames import Frame, encode_frame

    os.write(protocol_pipe(), encode_frame(Frame("ready", {"environment": {}}, {})))
    return result


def _huge(result: Result) -> Result:
    return replace(result, y=np.zeros((3, 10, 300_000)))


def _flood_then_die(result: Result) -> Result:
    block = b"x" * 2**20
    for k in range(24):
        os.write(2, block + (b"\n" if k % 8 == 0 else b""))
    os.write(2, b"\nthe end of the flood\n")
    os.abort()


def _fork(result: Result) -> Result:
    """The new process answers, too, unless it is kept from it."""
    os.fork()
    return result


def _leave_a_daemon(result: Result) -> Result:
    """Die, while a process of another group keeps all pipes open."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(20)
        os._exit(0)
    os._exit(3)


def _raise_the_unprintable(result: Result) -> Result:
    raise ValueError("first line \ud800 \x1b[31m\nsecond line " + "x" * 1_000_000)


def _fail_once(result: Result) -> Result:
    flag = _folder() / "failed-once"
    if not flag.exists():
        flag.touch()
        os.abort()
    return result


def _with_nan(result: Result) -> Result:
    y = np.array(result.y)
    y[1, 2, 0] = np.nan
    return replace(result, y=y)


FAULTS: dict[str, Callable[[Result], Any]] = {
    "raises": _raise,
    "exits": _exit,
    "exits-hard": _exit_hard,
    "segfaults": _kill_itself(signal.SIGSEGV),
    "is-killed": _kill_itself(signal.SIGKILL),
    "aborts": _abort,
    "hangs": _hang,
    "forks": _fork,
    "escapes": _leave_a_daemon,
    "unprintable": _raise_the_unprintable,
    "prints": _print_noise,
    "writes": _write_noise,
    "reads": _read_input,
    "corrupts": _corrupt_pipe,
    "fakes": _fake_frame,
    "huge": _huge,
    "floods": _flood_then_die,
    "fails-once": _fail_once,
    "nan": _with_nan,
    "shape": lambda result: replace(result, y=np.swapaxes(np.array(result.y), 0, 1)),
    "integers": lambda result: replace(result, y=np.ones_like(result.y, dtype=np.int32)),
    "no-c": lambda result: replace(result, c_n=None),
    "nothing": lambda result: None,
    "swapped": lambda result: replace(result, h_n=result.c_n, c_n=result.h_n),
}

#: Wider than 64 bits on this machine, so that no frame carries it.
HAS_LONG_DOUBLE = np.dtype(np.longdouble).itemsize > 8
if HAS_LONG_DOUBLE:
    FAULTS["long-double"] = lambda result: replace(result, y=np.asarray(result.y, np.longdouble))


class Judgeless(Honest):
    """Claims a precision that does not exist."""

    def computes_in(self, case: Case) -> tuple[str, str]:
        return "float7", ""


class Lossy(Honest):
    """Keeps its weights in half precision."""

    def load(self, model: dict[str, Array], arrays: Mapping[str, Array]) -> None:
        super().load(model, {name: array.astype(np.float16).astype(array.dtype) for name, array in arrays.items()})


class Stretched(Honest):
    """Wrong at a width of 3 alone, in a way that nothing explains."""

    def run(self, model: dict[str, Array], case: Case) -> Result:
        result = super().run(model, case)
        if case.spec.hidden_size != 3 or result.y is None:
            return result
        return replace(result, y=result.y * result.y.dtype.type(1.25))


class Miscounting(Honest):
    """Reports one parameter too many, as a NumPy number."""

    def count_parameters(self, model: dict[str, Array]) -> int:
        return np.int64(super().count_parameters(model) + 1)  # type: ignore[return-value]


class Unwilling(Honest):
    """Supports nothing."""

    def unsupported(self, case: Case) -> str | None:
        return "not on Sundays"


class Sleepy(Honest):
    """Never answers, and says when it began."""

    def run(self, model: dict[str, Array], case: Case) -> Result:
        (_folder() / f"began-{os.getpid()}").touch()
        return _hang(super().run(model, case))


class Unloadable(Honest):
    """Raises while it is made; counts how often that was tried."""

    def __init__(self, name: str) -> None:
        with (_folder() / "loads").open("a", encoding="ascii") as file:
            file.write("x")
        raise ImportError("libframework.so.9: cannot open shared object file")


class ExitsWhileLoading(Unloadable):
    """Exits while it is made."""

    def __init__(self, name: str) -> None:
        try:
            super().__init__(name)
        except ImportError:
            sys.exit("no licence found")
