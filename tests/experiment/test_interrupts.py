"""What a terminal's interrupt reaches: this process, never its workers."""

import os
import signal
import threading

import joblib
import pytest

from schedlab.experiment.interrupts import interrupts_held

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_sigmask"), reason="signals can't be blocked here"
)


def test_workers_started_here_never_see_an_interrupt():
    ask = joblib.delayed(signal.pthread_sigmask)
    with interrupts_held():
        # another number of processes than other tests ask for: a pool of theirs would be taken
        made = joblib.Parallel(n_jobs=3, return_as="generator")(
            ask(signal.SIG_BLOCK, []) for _ in range(6)
        )
    assert all(signal.SIGINT in mask for mask in made)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("threads", [0, 1], ids=["alone", "beside a thread that could take it"])
def test_an_interrupt_comes_when_it_is_no_longer_held(threads):
    reached = []
    done = threading.Event()
    others = [threading.Thread(target=done.wait) for _ in range(threads)]

    def interrupted():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.05)  # until another thread would have taken it
            reached.append(True)

    for other in others:
        other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        done.set()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
