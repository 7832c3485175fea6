"""Times the JAX scan, its peers and the oracle against `torch.nn.LSTM`.

    python benchmarks/kernel_speed.py [--rounds 7] [--peers PYTHON] [--fresh 5] [--json FILE]

Each runs in a process of its own, and they take turns. For each shape this prints the median over rounds of the time
divided by torch's in the same round, and geometric means. `--peers` is a Python that has flax, dm-haiku and equinox,
where this one has not. `--fresh N` draws N more shapes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

#: (steps, batch, input, hidden)
SHAPES = {
    "small": (50, 1, 16, 32),
    "medium": (100, 32, 64, 128),
    "large": (200, 64, 256, 256),
    "wide": (20, 8, 2308, 32),
    "long": (1000, 1, 8, 16),
}
ORACLE_SHAPES = {
    "hidden 8": (10, 4, 8, 8),
    "hidden 32": (50, 4, 32, 32),
    "hidden 128": (100, 4, 64, 128),
    "hidden 256": (100, 4, 256, 256),
    "hidden 512": (50, 2, 512, 512),
}
PEERS = ("flax", "haiku", "equinox")


class Kernel:
    """The process of one implementation."""

    def __init__(self, name: str, python: str) -> None:
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [python, str(HERE / "kernels.py"), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": path, "LSTM_XCHECK_CACHE": "off"},
        )  # fmt: skip

    def seconds(self, shape: tuple[int, ...], mode: str, repeats: int) -> float:
        """The shortest of several calls."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*shape, mode, repeats, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def ratios(kernels: dict[str, Kernel], base: str, shape: tuple[int, ...], mode: str, rounds: int) -> dict[str, float]:
    """Median over rounds of each implementation's time by that of `base`."""
    found: dict[str, list[float]] = {name: [] for name in kernels}
    for number in range(rounds + 1):
        times = {name: kernel.seconds(shape, mode, 3) for name, kernel in kernels.items()}
        if number:  # the first round only warms up
            for name, seconds in times.items():
                found[name].append(seconds / times[base])
    return {name: statistics.median(values) for name, values in found.items()}


def fresh_shapes(count: int) -> dict[str, tuple[int, int, int, int]]:
    """Seeded random shapes, from one row to sixty-four."""
    rng = np.random.default_rng(20)
    drawn = {}
    for number in range(count):
        steps, batch, features, hidden = (int(2.0 ** rng.uniform(low, high)) for low, high in _RANGES)
        drawn[f"fresh {number}"] = (steps, batch, features, hidden)
    return drawn


_RANGES = ((4, 8), (0, 6), (3, 9), (4, 8))


def measure(names: dict[str, str], base: str, shapes: dict[str, tuple[int, int, int, int]], modes: list[str],
            rounds: int) -> dict[str, dict[str, dict[str, float]]]:  # fmt: skip
    """Ratios as `result[mode][shape][implementation]`, with geometric means."""
    kernels = {name: Kernel(name, python) for name, python in names.items()}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for mode in modes:
        rows = result.setdefault(mode, {})
        for label, shape in shapes.items():
            rows[label] = ratios(kernels, base, shape, mode, rounds)
            line = "  ".join(f"{name} {ratio:.2f}" for name, ratio in rows[label].items())
            print(f"{mode:9} {label:11} {shape!s:22} {line}", flush=True)
        means = {name: statistics.geometric_mean([row[name] for row in rows.values()]) for name in names}
        rows["geometric mean"] = means
        print(f"{mode:9} geometric mean " + "  ".join(f"{name} {mean:.2f}" for name, mean in means.items()), flush=True)
    for kernel in kernels.values():
        kernel.close()
    return result


def main() -> None:
    """Measure the scans, the oracle, or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--fresh", type=int, default=5)
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--only", choices=("scans", "oracle"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    result = {}
    if chosen.only != "oracle":
        result["scans"] = measure_scans(chosen)
    if chosen.only != "scans":
        pair = dict.fromkeys(("torch, one thread", "oracle"), sys.executable)
        result["oracle"] = measure(pair, "torch, one thread", ORACLE_SHAPES, ["forward"], chosen.rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure_scans(chosen: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Measure the scan and its installed peers."""
    has_peers = chosen.peers != sys.executable or all(importlib.util.find_spec(name) for name in PEERS)
    names = dict.fromkeys(("torch", "jax", "plain scan"), sys.executable)
    names |= dict.fromkeys(PEERS, chosen.peers) if has_peers else {}
    return measure(names, "torch", SHAPES | fresh_shapes(chosen.fresh), ["forward", "gradient"], chosen.rounds)


if __name__ == "__main__":
    main()
