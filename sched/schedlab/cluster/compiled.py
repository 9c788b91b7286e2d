"""Compiled leaf functions: how they are compiled, and where the code is kept.

numba keeps compiled code on disk by the source file that a function stands in, and does not notice
edits elsewhere. A kernel that calls kernels of other files would then run with what those files
said before; so the stamp of a kernel's file covers all files whose kernels were made before it, as
those that it imports are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
_FILES: dict[str, tuple[float, int]] = {}


def compiled(function: F) -> F:
    """Compile *function* when it is first called; keep the code on disk where there is a place."""
    try:
        kernel = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no directory to write to: compile in every process
        kernel = njit(nogil=True)(function)
    file = function.__code__.co_filename
    if file not in _FILES and Path(file).is_file():
        found = Path(file).stat()
        _FILES[file] = (found.st_mtime, found.st_size)
    index = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if index is not None:
        newest = max((time for time, _ in _FILES.values()), default=0.0)
        index._source_stamp = (newest, sum(size for _, size in _FILES.values()))
    return cast("F", kernel)
