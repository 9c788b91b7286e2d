"""Compiled leaf functions: how they are compiled, and where the code is kept.

numba keeps compiled code on disk by the source file that a function stands in, and does not notice
edits elsewhere: a kernel, the kernels that it calls and their constants share one file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile *function* when it is first called; keep the code on disk where there is a place."""
    try:
        kernel = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no directory to write to: compile in every process
        kernel = njit(nogil=True)(function)
    return cast("F", kernel)
