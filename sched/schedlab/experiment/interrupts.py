"""Whom a terminal's interrupt reaches: this process, never its workers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from joblib.externals.loky.backend import resource_tracker as loky_tracker


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold an interrupt back until the end of this; processes started here never get one.

    A terminal interrupts every process of its group. Inside a worker the exception may surface
    anywhere, in code that turns it into an error of another kind too, which then was told in place
    of the interrupt. Workers inherit the signals that are blocked here, and this process ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started in here, they would unblock the signal again
    loky_tracker.ensure_running()
    arrived: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # another thread, which doesn't block it, may get it: Python's handler runs in the main one then
    main = threading.current_thread() is threading.main_thread()
    handler = (
        signal.signal(signal.SIGINT, lambda number, _: arrived.append(number)) if main else None
    )
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if arrived:
            signal.raise_signal(signal.SIGINT)
