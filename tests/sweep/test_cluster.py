"""A Dask cluster of separate processes: the same report, nothing lost when a worker is killed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from .long_runs import command, content, environment, ran

SWEEP = ("verify", "--adapters", "honest,lossy", "--grid", "hidden=1,2 input=2 steps=3 batch=1 seeds=40")


@dataclass
class Cluster:
    """A scheduler and two workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]
    variables: dict[str, str]


def address_in(log: IO[bytes], seconds: float = 60.0) -> str:
    """Where the scheduler listens, from what it prints."""
    end, text = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        log.seek(0)
        text = log.read().decode()
        found = re.search(r"Scheduler at:\s+(tcp://\S+)", text)
        if found:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"no scheduler came up: {text}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    variables = environment(tmp_path)
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process

    with (tmp_path / "log").open("w+b") as log:
        try:
            start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
            address = address_in(log)
            workers = [
                start("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(2)
            ]
            yield Cluster(address, workers, variables)
        finally:
            for process in started:
                process.kill()
                process.wait()


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    code, expected, _ = ran(cluster.variables, *SWEEP)
    assert (code, expected["totals"]["planned"]) == (1, 160)
    out = tmp_path / "out"
    with subprocess.Popen(
        command(*SWEEP, "--dask", cluster.address, "--out", str(out)),
        env=cluster.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as sweep:
        end = time.monotonic() + 120
        while not ((out / "cells.jsonl").exists() and (out / "cells.jsonl").stat().st_size) and time.monotonic() < end:
            time.sleep(0.05)
        assert sweep.poll() is None, "the sweep had ended before a worker could be killed"
        cluster.workers[0].kill()
        _, errors = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, errors
    _, report, _ = ran(cluster.variables, "report", str(out))
    assert content(report) == content(expected)
    assert report["totals"]["crashed"] == report["totals"]["skipped"] == 0


@pytest.mark.slow
def test_an_address_without_scheduler_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    code, _, errors = ran(environment(tmp_path), *SWEEP, "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert errors.count("\n") == 1
    assert "no scheduler answers there" in errors


def test_without_distributed_the_pip_command_is_told(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')\n", encoding="ascii")
    code, _, errors = ran(environment(tmp_path), *SWEEP, "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert errors == "Error: --dask needs distributed, which this Python lacks; run: pip install 'lstm-xcheck[dask]'\n"
