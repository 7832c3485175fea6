"""How JAX compiles in workers, and the cache of compiled programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import Case, LSTMSpec
from lstm_xcheck.adapters.registry import entry_named
from lstm_xcheck.compare import judge
from lstm_xcheck.workers.process import Worker

pytestmark = pytest.mark.framework

CASE = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=5, batch=2, seed=1)


@pytest.fixture(params=["jax", "keras-jax"])
def adapter(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("jax")
    if request.param == "keras-jax":
        pytest.importorskip("keras")
    return str(request.param)


def answer(adapter: str) -> np.ndarray:
    with Worker(entry_named(adapter), sys.executable) as worker:
        return np.asarray(worker.run(CASE).y)


def programs(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*-cache")}


def test_a_second_worker_reuses_the_programs_of_the_first(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTM_XCHECK_CACHE", str(tmp_path))
    first = answer(adapter)
    kept = programs(tmp_path)
    assert kept
    assert answer(adapter).tobytes() == first.tobytes()
    assert programs(tmp_path) == kept


def test_a_damaged_program_is_compiled_anew(adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_XCHECK_CACHE", str(tmp_path))
    first = answer(adapter)
    for file in tmp_path.rglob("*-cache"):
        file.write_bytes(file.read_bytes()[:40])
    assert answer(adapter).tobytes() == first.tobytes()


def test_no_program_is_cached_when_the_cache_is_off(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTM_XCHECK_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert answer(adapter).shape == (2, 5, 4)
    assert not (tmp_path / "lstm-xcheck").exists()


def test_a_worker_runs_without_a_folder_for_the_cache(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("LSTM_XCHECK_CACHE", str(blocked))
    assert answer(adapter).shape == (2, 5, 4)


def test_one_tanh_for_all_gates_keeps_their_small_values() -> None:
    """Large inputs put every gate near 0 or 1, where XLA's level 0 fails."""
    pytest.importorskip("jax")
    spec = LSTMSpec(input_size=1, hidden_size=1, bias="none")
    with Worker(entry_named("jax"), sys.executable) as worker:
        for seed in range(12):
            case = Case.random(spec, seed=seed, init="normal", scale=30.0, steps=12, batch=1)
            assert judge(worker.run(case), case).verdict == "match", seed


def test_adapters_of_one_process_set_the_flags_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other flags would be other keys of the cache."""
    pytest.importorskip("jax")
    from lstm_xcheck.adapters.jax import compile_options

    monkeypatch.setenv("XLA_FLAGS", "--xla_of_the_user=1")
    compile_options.prepare_process()
    once = os.environ["XLA_FLAGS"]
    assert once.endswith(" --xla_of_the_user=1")
    compile_options.prepare_process()
    assert os.environ["XLA_FLAGS"] == once


@pytest.mark.parametrize(("chosen", "options"), [("quick", "xla_backend_optimization_level="), ("default", "default")])
def test_the_environment_names_the_compile_options(
    adapter: str, chosen: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTM_XCHECK_XLA", chosen)
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # which an adapter in this process may have set before
    with Worker(entry_named(adapter), sys.executable) as worker:
        worker.start()
        assert worker.environment["xla"].startswith(options)


def test_the_older_half_of_too_many_files_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    import os

    from lstm_xcheck.adapters.jax import program_cache

    monkeypatch.setattr(program_cache, "MAX_FILES", 5)
    for number in range(6):
        (tmp_path / str(number)).touch()
        os.utime(tmp_path / str(number), (number, number))
    program_cache._prune(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["3", "4", "5"]


@pytest.mark.skipif(os.name == "nt", reason="needs owners and modes")
def test_only_a_folder_that_is_the_users_own_holds_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    from lstm_xcheck.adapters.jax import program_cache

    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir(mode=0o700)
    shared.mkdir()
    shared.chmod(0o777)
    (tmp_path / "link").symlink_to(own)
    assert program_cache._is_own(own)
    assert not program_cache._is_own(shared)
    assert not program_cache._is_own(tmp_path / "link")
    monkeypatch.setattr(os, "getuid", lambda: own.stat().st_uid + 1)
    assert not program_cache._is_own(own)


@pytest.mark.skipif(os.name == "nt", reason="needs owners and modes")
def test_no_program_is_cached_where_others_can_write_or_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jax = pytest.importorskip("jax")
    from lstm_xcheck.adapters.jax import program_cache

    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv(program_cache.VARIABLE, str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / f"xla-{jax.__version__}-{program_cache._cpu()}").mkdir()
    next(tmp_path.iterdir()).chmod(0o775)
    assert program_cache.enable() is None
    for name in (program_cache.VARIABLE, "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)  # nobody of the password file
    assert program_cache.enable() is None
    assert jax.config.jax_compilation_cache_dir == before
