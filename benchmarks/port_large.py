"""What porting a large checkpoint costs beside the two frameworks' own libraries: `python benchmarks/port_large.py`.

Each way is run in processes of its own, in turn and several rounds of them: the peer (read with the source's library,
write with the destination's), `port` without its proof (read, write, read back, compare every bit, hash, make
durable), and with `--proof` the whole of `port`; `inspect` before. Every process finds the source in memory, no
destination, and nothing that waits to be written to the disk; the peer does not wait for its own to get there. Prints
medians of seconds, of seconds of CPU, and of the rounds' ratios, and the largest peak memory; nothing is asserted.
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

#: What every measured process does around its work; the imports are part of the work.
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
sys.stdout, shown = open(os.devnull, "w"), sys.stdout
assert run(["inspect", {source!r}]) == 0
sys.stdout = shown
"""

FILE_ONLY = """
from lstm_xcheck import porting
porting._proven = lambda ported: {{"rows": [], "inputs": [], "adapters": {{}}, "environment": {{}}, "power": []}}
porting.port({source!r}, {target!r}, force=True)
"""

WHOLE = """
from lstm_xcheck.porting.port import port
assert port({source!r}, {target!r}, force=True)["verdict"] == "agree"
"""


class Cost(NamedTuple):
    """What a process took; seconds of CPU may be more than those that passed, as threads add theirs up."""

    seconds: float
    cpu: float
    peak: float


def measured(folder: Path, body: str) -> Cost:
    """Run a process once, and take away what it wrote."""
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
    """Every process by its name, round by round."""
    costs: dict[str, list[Cost]] = {name: [] for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            costs[name].append(measured(folder, body))
    return costs


def main() -> None:
    """Measure every way and print one line for each."""
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
        ways |= {"port with its proof": WHOLE.format(source=source, target=target)} if proof else {}
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
