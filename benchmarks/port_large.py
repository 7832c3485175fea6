"""Measures the cost of porting a large checkpoint against the frameworks' libraries.

    python benchmarks/port_large.py

Three forms run in processes of their own, in turn and for several rounds: the peer, which reads with the source's
library and writes with the destination's; `port` without its proof (read, write, read back, compare every bit, hash,
sync); and with `--proof` all of `port`. `inspect` runs before them. Every process finds the source in memory, no
destination, and no pending writes; the peer does not wait for its own. This prints medians of seconds, of CPU seconds
and of the ratios of the rounds, and the largest peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HIDDEN = 2048

MAKE = """
import sys, torch
from safetensors.torch import save_file
torch.manual_seed(0)
lstm = torch.nn.LSTM({hidden}, {hidden}, num_layers={layers})
state = lstm.state_dict()
torch.save(state, sys.argv[1] + "/m.pt")
save_file(state, sys.argv[1] + "/m.safetensors")
"""

#: The code around the measured work, of which imports are a part.
FRAME = """
import json, resource, sys, time
begin = time.perf_counter()
{body}
took = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""

PEERS = {
    ("m.pt", "out.safetensors"): """
import torch
from safetensors.torch import save_file
save_file(torch.load("m.pt", weights_only=True), "peer.safetensors")
""",
    ("m.safetensors", "out.pt"): """
import torch
from safetensors.torch import load_file
torch.save(load_file("m.safetensors"), "peer.pt")
""",
    ("m.pt", "out.weights.h5"): """
import h5py, torch
with h5py.File("peer.h5", "w") as file:
    for name, tensor in torch.load("m.pt", weights_only=True).items():
        file.create_dataset(name, data=tensor.numpy().T)
""",
}

INSPECT = """
from lstm_xcheck.cli.main import run
import os
sys.stdout, stdout = open(os.devnull, "w"), sys.stdout
assert run(["inspect", {source!r}]) == 0
sys.stdout = stdout
"""

FILE_ONLY = """
from lstm_xcheck.porting import port as porting
porting._verified = lambda ported: {{"rows": [], "inputs": [], "adapters": {{}}, "environment": {{}}, "power": []}}
porting.port({source!r}, {target!r}, force=True)
"""

PORT = """
from lstm_xcheck.porting.port import port
assert port({source!r}, {target!r}, force=True)["verdict"] == "agree"
"""


class Cost(NamedTuple):
    """Wall seconds, CPU seconds of all threads, and peak memory in MiB."""

    seconds: float
    cpu: float
    peak: float


def measured(folder: Path, body: str) -> Cost:
    """Run a process once and delete what it wrote."""
    os.sync()
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-c", FRAME.format(body=body)], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    for file in folder.glob("[!m]*"):
        file.unlink()
    return Cost(*json.loads(run.stdout.splitlines()[-1]))


def in_turn(folder: Path, bodies: Mapping[str, str], rounds: int) -> dict[str, list[Cost]]:
    """Costs of every process by name, measured in turn."""
    costs: dict[str, list[Cost]] = {name: [] for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            costs[name].append(measured(folder, body))
    return costs


def main() -> None:
    """Measure every form and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=0.25, help="size of the checkpoint")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is run")
    parser.add_argument("--proof", action="store_true", help="measure the whole of port, with its proof, as well")
    options = parser.parse_args()
    layers = max(1, round(options.gib * 2**30 / (8 * HIDDEN * HIDDEN * 4)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = MAKE.format(hidden=HIDDEN, layers=layers)
        subprocess.run([sys.executable, "-c", made, name], check=True)
        report(folder, options.rounds, options.proof)


def report(folder: Path, rounds: int, proof: bool) -> None:
    """Print the figures of every way."""
    size = (folder / "m.pt").stat().st_size / 2**20
    budget = size + 2 * 4 * HIDDEN * HIDDEN * 4 / 2**20 + 200
    show(f"checkpoint {size:.0f} MiB; peak memory may be {budget:.0f} MiB; medians of {rounds} rounds")
    looked = {"import of NumPy and the command line alone": "import numpy, lstm_xcheck.cli.main"}
    looked |= {f"inspect {source}": INSPECT.format(source=source) for source in ("m.pt", "m.safetensors")}
    for name, costs in in_turn(folder, looked, max(5, rounds)).items():
        show(f"{name}: {described(costs)}")
    for (source, target), peer in PEERS.items():
        ways = {"peer": peer, "port without its proof": FILE_ONLY.format(source=source, target=target)}
        ways |= {"port with its proof": PORT.format(source=source, target=target)} if proof else {}
        found = in_turn(folder, ways, rounds)
        theirs = found.pop("peer")
        show(f"{source} -> {target}: peer {described(theirs)}")
        for name, ours in found.items():
            ratio = statistics.median(one.seconds / other.seconds for one, other in zip(ours, theirs, strict=True))
            show(f"  {name}: {described(ours)} = {max(cost.peak for cost in ours) / budget:.2f}; {ratio:.2f} x")


def described(costs: Sequence[Cost]) -> str:
    """Medians in words."""
    seconds = statistics.median(cost.seconds for cost in costs)
    cpu = statistics.median(cost.cpu for cost in costs)
    return f"{seconds:.2f} s, {cpu:.2f} s of CPU, peak {max(cost.peak for cost in costs):.0f} MiB"


def show(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
