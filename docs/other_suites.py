"""Writes docs/reference/other_suites.md: what the LSTM tests of other projects catch, by the verb `score`.

    python docs/other_suites.py                   run all suites, some thirty minutes
    python docs/other_suites.py --only "ONNX node"    run those whose name has these words, and keep the others

The figures are kept in docs/reference/other_suites.json. torch's samples need expecttest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "other_suites.md"
DATA = PAGE.with_suffix(".json")
EXAMPLE = "examples/scored_suite"

_HEAD = """# What other test suites catch

<!-- Written by docs/other_suites.py from other_suites.json. -->

`lstm-xcheck score` plants each mistake of the catalogue in the framework that a suite tests, as it computes, and runs
the suite. A mistake is caught if a test fails. A mistake counts if some call of the framework shows it; that it has no
effect on the data of the suite is no excuse. In a framework of single cells, as of JAX, only mistakes of a step count.
Planted are values: what a layer returns is changed by what the mistake changes, whichever way it is computed. Tests of
Keras called `test_basics`, which train for a second and compare shapes, are left out. Where a run takes long, 60
mistakes were drawn. torch compares its samples with the module itself, with a batch of one. The contract
is this package's for adapters; what ONNX Runtime does at length 0 is wrong without a mistake, and left out.
"""

_TAIL = """
The reasons of those that survive:

* *no room*: no call of the suite has what the mistake is about, such as two directions, lengths or initial states.
* *no effect*: it changes no number of the suite. Weights that are all equal hide every gate order and every transposed
  matrix, biases of 0 hide what is done to biases.
* *not compared*: it changes numbers, which no test compares, or compares with those of the same framework alone.
* *tolerance*: it changes numbers that are compared, by less than is allowed.
"""

_REASONS = {"no call": "no room", "no effect": "no effect", "changed, but": "not compared", "changed and": "tolerance"}


@dataclass(frozen=True)
class Suite:
    """One row of the page.

    Attributes:
        name: as it is shown.
        package: whose version is shown.
        options: of the verb; "{}" stands for an empty folder, but for what `vectors` writes and a none.ini for pytest.
        environment: variables, with "{}" as well.
        vectors: options of `lstm-xcheck vectors`, for each folder of tests to write.
    """

    name: str
    package: str
    options: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    vectors: tuple[tuple[str, ...], ...] = ()


#: Options of suites that take long.
_DRAWN = ("--sample", "60")
#: Arguments of pytest that leave its configuration to nobody.
_ALONE = "-c {}/none.ini --rootdir {}"


def _keras(file: str, *options: str) -> Suite:
    """Tests that Keras ships, without those that train for a second and compare shapes."""
    path = Path(str(find_spec("keras").submodule_search_locations[0])) / "src/layers/rnn" / file  # type: ignore[union-attr, index]
    options = ("--host", "keras", "--pytest", f"{path} -k 'not basics'", *options)
    return Suite(f"Keras {file}", "keras", options, {"KERAS_BACKEND": "torch"})


def suites() -> list[Suite]:
    """Every row; those of frameworks are the tests that their packages ship."""
    own = {"LSTM_UNDER_TEST": "torch_lstm:run", "PYTHONPATH": f"{ROOT / EXAMPLE}{os.pathsep}{ROOT}"}
    kinds = ((), ("--layers", "2", "--bidirectional"))
    vectors = tuple(("--format", "pytest", "--no-empty-rows", *kind) for kind in kinds)
    folders = tuple(("--format", "onnx", "--no-empty-rows", *kind) for kind in ((), ("--bidirectional",)))
    ours = ("--host", "torch", "--pytest", f"--import-mode=importlib {_ALONE} {{}}")
    return [
        Suite("ONNX node tests of LSTM", "onnx", ("--host", "onnx", "--onnx-node-tests")),
        _keras("lstm_test.py"),
        _keras("stacked_rnn_cells_test.py"),
        _keras("bidirectional_test.py", *_DRAWN),
        Suite("torch's samples of nn.LSTM", "torch",
              ("--host", "torch", "--pytest", f"{_ALONE} {EXAMPLE}/test_module_info.py", *_DRAWN)),
        Suite("one np.allclose with equal weights", "torch",
              ("--host", "torch", "--pytest", f"{EXAMPLE}/test_constant_weights.py")),
        Suite("our vectors, one layer", "torch", ours, own, vectors[:1]),
        Suite("our vectors, and two layers in two directions", "torch", ours, own, vectors),
        Suite("our vectors, one and two directions, in ONNX' runner", "onnxruntime",
              ("--host", "onnx", "--pytest", f"{_ALONE} {EXAMPLE}/test_onnx_folders.py"),
              {"ONNX_FOLDERS": "{}"}, folders),
        _contract("torch", "torch", "", *_DRAWN),
        _contract("onnx", "onnxruntime", "-k 'not length-0 and not halves-of-lengths'"),
    ]  # fmt: skip


def _contract(host: str, adapter: str, chosen: str, *options: str) -> Suite:
    """What an adapter must keep, for the adapter of a package."""
    suite = f"{_ALONE} --pyargs lstm_xcheck.adapter_contract --xcheck-adapters {adapter} {chosen}"
    return Suite(f"our contract, on {adapter}", adapter, ("--host", host, "--pytest", suite, *options))


def run(suite: Suite) -> dict[str, Any]:
    """The score of one suite."""
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(suite.vectors):
            _xcheck("vectors", "--out", f"{folder}/{number}", *kind)
        Path(folder, "none.ini").write_text("[pytest]\n")
        options = [option.replace("{}", folder) for option in suite.options]
        environment = {name: value.replace("{}", folder) for name, value in suite.environment.items()}
        found = json.loads(_xcheck("score", *options, "--json", **environment))
    reasons = Counter(word for s in found["survivors"] for key, word in _REASONS.items() if s["reason"].startswith(key))
    kept = ("caught", "survived", "not_expressible", "families", "set_aside")
    about = {"version": version(suite.package), "python": platform.python_version(), "tests": len(found["tests"])}
    return {**about, **{key: found[key] for key in kept}, "reasons": dict(reasons)}


def _xcheck(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "lstm_xcheck", *arguments]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    where = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}  # layers of a few units wait for threads
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **where}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def page(figures: dict[str, dict[str, Any]]) -> str:
    """The page of all figures."""
    return "\n".join(
        [_HEAD, *_table(figures), _TAIL, "By family, caught of those that count:\n", *_families(figures), ""]
    )


def _table(figures: dict[str, dict[str, Any]]) -> Iterator[str]:
    words = list(_REASONS.values())
    yield f"| suite | version | tests | caught | of | {' | '.join(words)} |"
    yield f"|---|---|---:|---:|---:|{'---:|' * len(words)}"
    for name, found in figures.items():
        reasons = " | ".join(str(found["reasons"].get(word, 0)) for word in words)
        total = found["caught"] + found["survived"]
        yield f"| {name} | {found['version']} | {found['tests']} | **{found['caught']}** | {total} | {reasons} |"


def _families(figures: dict[str, dict[str, Any]]) -> Iterator[str]:
    families = list(dict.fromkeys(family for found in figures.values() for family in found["families"]))
    yield f"| suite | {' | '.join(families)} |"
    yield f"|---|{'---:|' * len(families)}"
    for name, found in figures.items():
        cells = (found["families"].get(family) for family in families)
        yield f"| {name} | {' | '.join(map(_part, cells))} |"


def _part(cell: dict[str, int] | None) -> str:
    return "" if cell is None else f"{cell['caught']}/{cell['of']}"


def main() -> None:
    """Run, keep the figures, write the page."""
    parser = argparse.ArgumentParser(description="Score the LSTM tests of other projects.")
    parser.add_argument("--only", default="", metavar="WORDS", help="only suites whose name has these words")
    only = parser.parse_args().only
    figures = json.loads(DATA.read_text()) if DATA.exists() else {}
    for suite in suites():
        if only in suite.name:
            figures[suite.name] = run(suite)
        figures = {name: figures[name] for name in (s.name for s in suites()) if name in figures}
        DATA.write_text(json.dumps(figures, indent=1) + "\n")
        PAGE.write_text(page(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
