"""Where a result comes from: versions, commit and platform, asked once per process."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("schedlab", "numpy", "scipy", "pandas", "pyarrow", "numba")


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, "unknown"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Return the versions of Python, schedlab and what computes its results."""
    return dict(_versions())


def platform_name() -> str:
    """Return operating system and processor architecture, as ``Linux-x86_64``."""
    return f"{platform.system()}-{platform.machine()}"


def machine() -> dict[str, str | int]:
    """Return what measured times depend on: platform, processor, its cores, and memory in bytes."""
    return {
        "platform": platform_name(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
    }


def _processor() -> str:
    """Return the model of the processor; an empty string where the platform can't say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def _memory_bytes() -> int:
    """Return how much memory there is, in bytes; 0 where the platform can't say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


@cache
def commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None when it isn't one.

    ``-dirty`` follows when the package differs from that commit.
    """
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None  # installed into someone else's checkout, or no checkout at all
    head = _git(here.parent, "rev-parse", "HEAD")
    if not head:
        return None
    changed = _git(here.parent.parent, "status", "--porcelain", "--", ".")
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here: the commit stays unknown
    return done.stdout.strip() if done.returncode == 0 else None
