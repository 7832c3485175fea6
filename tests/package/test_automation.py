"""The GitHub Action, the pre-commit hooks, and the examples for clusters run as they are written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import LSTMSpec, LSTMWeights

from ..engine.long_runs import environment
from ..helpers import ROOT, Command, command_line, run_python

SLURM = ROOT / "examples" / "slurm"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
SCRIPTS = [*sorted(SLURM.glob("*.s*")), ROOT / "action.yml"]
GRID = "hidden=1,2 input=2 steps=3 batch=1"


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Variables under which `lstm-xcheck` is this package and has the adapters in NumPy."""
    program = tmp_path / "bin" / "lstm-xcheck"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\nexec "{sys.executable}" -m lstm_xcheck "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    given = environment(tmp_path)
    return {**given, "PATH": f"{program.parent}{os.pathsep}{given['PATH']}"}


def bash(script: str, folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, "bash", *arguments],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def loaded(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


# --- the GitHub Action ---


def verify_step(folder: Path, variables: dict[str, str], adapters: str) -> tuple[int, dict[str, str], str]:
    """Exit code, outputs and summary of the step that verifies."""
    (step,) = (step for step in loaded(ROOT / "action.yml")["runs"]["steps"] if step.get("id") == "verify")
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    inputs = {"ARGUMENTS": f"--grid\n{GRID}\n--adapters\n{adapters}\n", "REPORTS": "my reports"}
    assert set(step["env"]) == set(inputs)
    ran = bash(step["run"], folder, {**variables, **inputs, **{name: str(file) for name, file in files.items()}})
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines())
    return ran.returncode, outputs, files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")


@pytest.mark.parametrize(("adapters", "code"), [("honest", 0), ("honest,lossy", 1)])
def test_the_action_verifies_and_leaves_every_report(
    tmp_path: Path, variables: dict[str, str], adapters: str, code: int
) -> None:
    returned, outputs, summary = verify_step(tmp_path, variables, adapters)
    assert (returned, outputs) == (code, {"exit-code": str(code), "sarif": "my reports/report.sarif"})
    assert summary.startswith(f"## lstm-xcheck: {'DISAGREE' if code else 'AGREE'}\n")
    written = {file.name for file in (tmp_path / "my reports").iterdir()}
    assert written == {"report.html", "report.json", "report.sarif", "junit.xml", "summary.md"}
    found = json.loads((tmp_path / "my reports" / "report.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    assert bool(found) == bool(code)


def test_inputs_of_the_action_reach_scripts_as_variables_alone() -> None:
    """Text of a pull request that were pasted into a script would run."""
    action = loaded(ROOT / "action.yml")
    used = set()
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]
        used |= set(re.findall(r"inputs\.([\w-]+)", str(step["env"])))
    assert used == set(action["inputs"])
    assert {value["value"] for value in action["outputs"].values()} == {
        f"${{{{ steps.verify.outputs.{name} }}}}" for name in action["outputs"]
    }


# --- pre-commit ---


def test_the_hooks_verify_checkpoints_and_recheck_certificates(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], oracle_alone: None
) -> None:
    hooks = {hook["id"].removeprefix("lstm-xcheck-"): hook for hook in loaded(HOOKS)}
    command: Command = command_line(capfd)
    for number in range(2):
        weights = LSTMWeights.random(LSTMSpec(3, 4), seed=number)
        source = tmp_path / f"source-{number}.npz"
        np.savez(source, **weights.to_layout("torch"))
        assert command("port", str(source), str(tmp_path / f"model-{number}.safetensors")).code == 0
    names = [file.name for file in tmp_path.iterdir()]
    chosen = {id: sorted(name for name in names if re.search(hook["files"], name)) for id, hook in hooks.items()}
    assert chosen == {
        "verify": ["model-0.safetensors", "model-1.safetensors"],
        "recheck": ["model-0.safetensors.xcheck.json", "model-1.safetensors.xcheck.json"],
    }
    entry = hooks["recheck"]["entry"].split()
    assert entry[0] == "lstm-xcheck"
    certificates = [str(tmp_path / name) for name in chosen["recheck"]]
    assert command(*entry[1:], *certificates).code == 0
    content = bytearray((tmp_path / "model-1.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model-1.safetensors").write_bytes(content)
    ran = command(*entry[1:], *certificates)
    assert ran.code == 1
    assert "model-1.safetensors" in ran.err


# --- SLURM and Dask ---


def test_the_parts_of_a_job_array_merge_into_the_sweep(tmp_path: Path, variables: dict[str, str]) -> None:
    arguments = ("--grid", GRID, "--adapters", "honest,lossy")
    of_the_job = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1", "RUNS": "my runs"}
    (tmp_path / "my runs").mkdir()
    merge = (SLURM / "merge.sh").read_text(encoding="utf-8")

    def part(number: int, *given: str) -> int:
        script = (SLURM / "sweep.sbatch").read_text(encoding="utf-8")
        own = {**variables, **of_the_job, "SLURM_ARRAY_TASK_ID": str(number)}
        return bash(script, tmp_path, own, *given).returncode

    assert part(1, *arguments) == 0
    incomplete = bash(merge, tmp_path, {**variables, **of_the_job})
    assert incomplete.returncode == 1
    assert "not all is here: shard 2/2" in incomplete.stderr
    assert part(2, *arguments) == 0
    complete = bash(merge, tmp_path, {**variables, **of_the_job})
    assert (complete.returncode, complete.stderr) == (1, "")
    report = json.loads((tmp_path / "my runs" / "report.json").read_text(encoding="utf-8"))
    assert {name: number for name, number in report["totals"].items() if number} == {
        "planned": 4, "match": 2, "mismatch": 2,
    }  # fmt: skip
    assert part(1, "--adapters", "nobody") == 1


@pytest.mark.slow
@pytest.mark.framework("onnxruntime", "onnx")
def test_the_sweep_on_a_local_cluster_agrees() -> None:
    pytest.importorskip("distributed")
    assert run_python(ROOT / "examples" / "dask" / "sweep.py") == "agree: 32 planned, 32 match\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_bash(script: Path) -> None:
    sources = [script.read_text(encoding="utf-8")]
    if script.suffix == ".yml":
        sources = [step["run"] for step in loaded(script)["runs"]["steps"]]
    for source in sources:
        done = subprocess.run(["bash", "-n"], input=source, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
