"""What porting a large checkpoint costs beside the two frameworks' own libraries: `python benchmarks/port_large.py`.

Each way is run in processes of its own, one after the other: first `inspect`, then the peer (read with the source's
library, write with the destination's), then `port` without its proof (read, write, read back, compare every bit,
hash), then the whole of `port`. Prints seconds, ratios and peak memory; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF,)) / 1024
print(json.dumps([took, peak]))
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
porting.prove = lambda ported: {{"rows": [], "inputs": [], "adapters": {{}}, "environment": {{}}}}
porting.port({source!r}, {target!r}, force=True)
"""

WHOLE = """
from lstm_xcheck.porting import port
assert port({source!r}, {target!r}, force=True)["verdict"] == "agree"
"""


def measured(folder: Path, body: str) -> tuple[float, float]:
    """Seconds and peak MiB of a process."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-c", FRAME.format(body=body)], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    seconds, peak = json.loads(run.stdout.splitlines()[-1])
    return seconds, peak


def main() -> None:
    """Measure every way and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=0.25, help="size of the checkpoint")
    parser.add_argument("--proof", action="store_true", help="measure the whole of port, with its proof, as well")
    options = parser.parse_args()
    layers = max(1, round(options.gib * 2**30 / (8 * HIDDEN * HIDDEN * 4)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = MAKE.format(hidden=HIDDEN, layers=layers)
        subprocess.run([sys.executable, "-c", made, name], check=True)
        report(folder, options.proof)


def report(folder: Path, proof: bool) -> None:
    """Print the figures of every way."""
    size = (folder / "m.pt").stat().st_size / 2**20
    budget = size + 2 * 4 * HIDDEN * HIDDEN * 4 / 2**20 + 200
    show(f"checkpoint {size:.0f} MiB; peak memory may be {budget:.0f} MiB")
    small, _ = measured(folder, "import lstm_xcheck.cli.main")
    for source in ("m.pt", "m.safetensors"):
        seconds, peak = measured(folder, INSPECT.format(source=source))
        show(f"inspect {source}: {seconds:.2f} s, of which imports {small:.2f} s; peak {peak:.0f} MiB")
    for (source, target), peer in PEERS.items():
        theirs, memory = measured(folder, peer)
        show(f"{source} -> {target}: peer {theirs:.2f} s, peak {memory:.0f} MiB")
        for label, body in (("without its proof", FILE_ONLY), *([("with its proof", WHOLE)] if proof else [])):
            ours, peak = measured(folder, body.format(source=source, target=target))
            show(f"  port {label}: {ours:.2f} s = {ours / theirs:.2f} x; peak {peak:.0f} MiB = {peak / budget:.2f}")
        (folder / target).unlink()


def show(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
