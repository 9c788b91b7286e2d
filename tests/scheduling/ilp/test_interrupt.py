"""Solvers leave Ctrl-C to Python: a library that takes the signal over kills the process later."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from test_solve import model_of
from schedlab.scheduling.ilp.result import Limits
from schedlab.scheduling.ilp.solve import solve

model, state, batch = model_of(1, 2, 3)
solve(model, Limits(5.0), objective="placed,nodes", solver={solver!r})
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("solver", ["cp-sat", "highs", "auto"])
def test_an_interrupt_after_a_solve_is_pythons(solver, request):
    code = SCRIPT.format(folder=str(request.path.parent), solver=solver)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout.strip(), done.returncode) == ("interrupted", 0), done.stderr
