"""Where compiled code is kept, and what it costs to have it ready."""

import os
import subprocess
import sys

from schedlab.cluster.compiled import compiled
from schedlab.scheduling.framework import choice, kernels, rejections, runs
from schedlab.scheduling.warm_up import warm_up


def test_without_a_place_for_the_cache_kernels_are_compiled_anew():
    names = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<nowhere>", "exec"), names)
    double = compiled(names["double"])
    assert double(21) == 42
    assert double.stats.cache_path is None


def test_warming_up_leaves_nothing_to_compile():
    warm_up()
    used = [kernels.refresh_kube, kernels.refresh_rank, kernels.choose_rank, kernels.choose_nth,
            rejections.reject_rows, choice.decide_nodes, runs.place_run]  # fmt: skip
    assert all(kernel.signatures for kernel in used)


def test_the_cache_goes_where_it_is_told_to(tmp_path):
    code = (
        "import numpy as np\nfrom schedlab.scheduling.framework.preemption_kernel import better\n"
        "better(np.ones(1, np.int64), np.ones(1, np.int64))\n"
        "print(better.stats.cache_path)"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(tmp_path))
    assert list(tmp_path.rglob("*.nbi"))
