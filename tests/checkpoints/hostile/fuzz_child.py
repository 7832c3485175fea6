"""Reads damaged copies of one checkpoint in a process of bounded memory, and says how each ended.

Run as a script: CHECKPOINT COUNT SEED, the checkpoint alone in its folder with the files that belong to it, one of
which is damaged each time. Prints JSON: outcomes by kind, the slowest in seconds of a processor, the MiB at the peak
beyond those that the good file took, the files that reading left or changed, and the first escape (an exception of
another type, or numbers that are not those written although a checksum covers them).
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lstm_xcheck.arrays import fingerprint
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError

#: Address space, so that a claim of terabytes is seen at once. Imports alone take a good part of it.
LIMIT = 6 << 30
#: Formats whose every number is covered by a checksum: zip archives, TensorFlow and Orbax keep one.
CHECKED = (".pt", ".keras", ".npz", ".index", ".orbax")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with bits flipped, its end cut off, a range overwritten, or two ranges exchanged."""
    kind = rng.choice(("bits", "bytes", "cut", "swap", "zero", "repeat"))
    changed = bytearray(data)
    size = len(data)
    # Headers are where the claims are: half of all places lie in the first or last kilobytes.
    near = [rng.randrange(min(size, 2048)), size - 1 - rng.randrange(min(size, 2048)), rng.randrange(size)]
    at, length = rng.choice(near), rng.randint(1, 64)
    if kind == "bits":
        for _ in range(rng.randint(1, 4)):
            changed[(at + rng.randrange(64)) % size] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(rng.randint(1, 8)):
            changed[(at + rng.randrange(64)) % size] = rng.randrange(256)
    elif kind == "cut":
        del changed[at:]
    elif kind == "zero":
        changed[at : at + length] = bytes([rng.choice((0, 255))]) * len(changed[at : at + length])
    elif kind == "repeat":
        changed[at:at] = changed[at : at + length]
    else:
        other = rng.randrange(size)
        first, second = changed[at : at + length], changed[other : other + length]
        changed[at : at + len(second)], changed[other : other + len(first)] = second, first
    return bytes(changed)


def hashes(path: Path) -> set[str]:
    """Every array of every LSTM as a hash; a name may be damaged, for it has no checksum, and an array be missed."""
    cells = [cell for lstm in read_checkpoint(path).lstms for _, _, cell in lstm.weights.cells()]
    return {fingerprint({"": np.asarray(array)}) for cell in cells for _, array in cell.items()}


def attempt(path: Path, truth: set[str], checked: bool) -> tuple[str, str]:
    """How reading ends: `refused`, `read`, or `escaped` with the reason."""
    try:
        found = hashes(path)
    except CheckpointError as error:
        return ("escaped", f"more than one line: {error}") if "\n" in str(error) else ("refused", "")
    except BaseException:
        return "escaped", traceback.format_exc()[-1500:]
    if checked and not found <= truth:
        return "escaped", "numbers other than those written were read in spite of the checksum"
    return "read", ""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its name in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def peak_memory() -> int:
    """The most memory that this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # the other figure has what the parent of the process had too
        (most,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(most.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(good: Path, count: int, seed: int) -> dict[str, Any]:
    """Damage and read `count` times."""
    folder = good.parent.with_name(f"{good.parent.name}-damaged")
    shutil.copytree(good.parent, folder)
    originals = contents(folder)
    names = sorted(name for name, data in originals.items() if data)
    truth = hashes(good)
    before = peak_memory()
    checked = good.suffix in CHECKED and "legacy" not in good.name
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    slowest, escape = 0.0, ""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    for _ in range(count):
        name = rng.choice(names)
        (folder / name).write_bytes(mutated(originals[name], rng))
        start = time.process_time()
        kind, reason = attempt(folder / good.name, truth, checked)
        slowest = max(slowest, time.process_time() - start)
        (folder / name).write_bytes(originals[name])
        outcomes[kind] += 1
        escape = escape or reason
    after = contents(folder)
    left = sorted(name for name in {*after, *originals} if after.get(name) != originals.get(name))
    shutil.rmtree(folder)
    peak = peak_memory() - before
    return {"outcomes": outcomes, "slowest": slowest, "peak": peak, "escape": escape, "left": left}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
