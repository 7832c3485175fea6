"""Compiled programs kept between runs, in the user's cache folder: the same sweep compiles them once per machine.

JAX's key covers the program, its options and the version of jaxlib; what a CPU can execute is not in it, so every kind
of CPU has a folder of its own. LSTM_XCHECK_CACHE names another folder, or is `off`; JAX_COMPILATION_CACHE_DIR, JAX's
own variable, wins.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import jax

#: A folder, or `off`.
VARIABLE = "LSTM_XCHECK_CACHE"
#: Some 12 kB each; with more files than this, the older half is deleted.
MOST_FILES = 20_000


def keep_programs() -> Path | None:
    """Let JAX keep what it compiles from now on; returns where, or None where it does not."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off" or os.environ.get("JAX_COMPILATION_CACHE_DIR") or jax.default_backend() != "cpu":
        return None
    base = Path(chosen) if chosen else _user_cache() / "lstm-xcheck"
    folder = base / f"xla-{jax.__version__}-{_cpu()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
    except OSError:  # a read-only home: everything is compiled anew, as without a cache
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _user_cache() -> Path:
    """The folder that the operating system gives programs for what can be made again."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _cpu() -> str:
    """A short name of what this CPU can execute."""
    described = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        described += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    except OSError:  # no Linux: one kind of CPU per home folder is the rule there
        described.append(platform.platform())
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]


def _prune(folder: Path) -> None:
    """Delete the older half of too many files; another worker may be deleting the same ones."""
    files = list(folder.iterdir())
    if len(files) <= MOST_FILES:
        return
    for file in sorted(files, key=lambda file: file.stat().st_mtime)[: len(files) // 2]:
        file.unlink(missing_ok=True)
