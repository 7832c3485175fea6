"""Milliseconds of a case in the example programs, and seconds of 64 MiB of input.

"in the worker" is the time in the adapter: encoding, pipes and the kernel; the row "library" is the C kernel without
pipes. "with the worker" adds the frames between the worker and its driver.

    python benchmarks/programs.py --cases 300
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import lstm_xcheck as lx
from lstm_xcheck.adapters.program import Implementation
from lstm_xcheck.workers.codec import encode_case
from lstm_xcheck.workers.process import Worker

EXAMPLES = Path(__file__).parents[1] / "examples" / "programs"
SMALL = lx.Case.random(
    lx.LSTMSpec(input_size=5, hidden_size=4, num_layers=2, bidirectional=True), steps=5, batch=3, seed=21, ragged=True
)


def implementations(folder: Path) -> Iterator[tuple[str, Implementation]]:
    """The right kernels whose tools are here, built."""
    source = str(EXAMPLES / "c" / "my_lstm.c")
    if shutil.which("cc"):
        library, program = str(folder / "libmine.so"), str(folder / "c_lstm")
        build = ["cc", "-O2", "-shared", "-fPIC", "-DLX_LIBRARY", source, "-lm", "-o", library]
        subprocess.run(build, check=True)
        subprocess.run(["cc", "-O2", source, "-lm", "-o", program], check=True)
        yield "library", lx.library(library, "lx_lstm")
        yield "C", lx.program(program)
    if shutil.which("rustc"):
        program = str(folder / "rust_lstm")
        main = str(EXAMPLES / "rust" / "src" / "main.rs")
        subprocess.run(["rustc", "-O", "--edition", "2021", main, "-o", program], check=True)
        yield "Rust", lx.program(program)
    if shutil.which("node"):
        yield "node", lx.program("node", str(EXAMPLES / "node" / "my_lstm.mjs"))


def main() -> None:
    """Print a row for each implementation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    count = parser.parse_args().cases
    large = lx.Case.random(lx.LSTMSpec(input_size=64, hidden_size=4), steps=4096, batch=64, seed=1)
    print("| program | first case, ms | in the worker, ms | with the worker, ms | 64 MiB of input, s |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, implementation in implementations(Path(folder)):
            with Worker(implementation.entry(name)) as worker:
                worker.start()
                start = time.perf_counter()
                worker.run(SMALL)
                first = time.perf_counter() - start
                request, inside = encode_case(SMALL), []
                start = time.perf_counter()
                for _ in range(count):
                    worker.run_encoded(request)
                    inside.append(worker.seconds)
                each = (time.perf_counter() - start) / count
                start = time.perf_counter()
                worker.run(large)
                seconds = time.perf_counter() - start
            median = sorted(inside)[count // 2]
            print(f"| {name} | {1e3 * first:.0f} | {1e3 * median:.2f} | {1e3 * each:.2f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
