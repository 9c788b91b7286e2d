"""Where a result comes from: versions, commit and platform, asked once per process."""

from __future__ import annotations

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
