"""Cache of compiled programs in the user's cache folder.

JAX's key covers the program, its options and the version of jaxlib, but not the instructions of the CPU; each kind of
CPU has a folder of its own, which is used only if it is the user's and others cannot write to it. LSTM_XCHECK_CACHE
names another folder, or is `off`. JAX's own JAX_COMPILATION_CACHE_DIR wins.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from pathlib import Path

import jax

#: A folder, or `off`.
VARIABLE = "LSTM_XCHECK_CACHE"
#: With more files than this, of some 12 kB each, the older half is deleted.
MAX_FILES = 20_000


def enable() -> Path | None:
    """Let JAX cache programs from now on; returns the folder, or None."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off" or os.environ.get("JAX_COMPILATION_CACHE_DIR") or jax.default_backend() != "cpu":
        return None
    try:
        base = Path(chosen) if chosen else _user_cache() / "lstm-xcheck"
        folder = base / f"xla-{jax.__version__}-{_cpu()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(folder):
            return None
        _prune(folder)
    except (OSError, RuntimeError):  # a read-only home, or none: no cache
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _is_own(folder: Path) -> bool:
    """Whether nobody else can put programs, which JAX would run, into a folder."""
    if os.name == "nt":
        return True
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _user_cache() -> Path:
    """The cache folder of the operating system."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _cpu() -> str:
    """A digest of the CPU's model and instruction sets."""
    facts = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        facts += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    except OSError:  # not Linux, where a home folder usually serves one kind of CPU
        facts.append(platform.platform())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _prune(folder: Path) -> None:
    """Delete the older half of too many files; other workers may, too."""
    files = list(folder.iterdir())
    if len(files) <= MAX_FILES:
        return
    for file in sorted(files, key=lambda file: file.stat().st_mtime)[: len(files) // 2]:
        file.unlink(missing_ok=True)
