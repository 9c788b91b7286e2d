"""What training makes large: one number for what became of the pods of a problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from schedlab.scheduling.learned.problem import Problem
from schedlab.scheduling.learned.replay import Placed

LAST: Final = 0.5
"""The allocation at the end is the mean over the arrivals of the last so many percent of demand."""


def gpu_allocation(problem: Problem, placed: Placed) -> float:
    """Return the share of all GPUs that is allocated at the end, in percent.

    As FGD's paper bins it: the mean over the arrivals whose running sum of asked GPU, in percent of
    what the cluster has, lies within `LAST` of its end.
    """
    total = 1000.0 * float(problem.columns[5].sum())
    if not total or not len(problem.ask):
        return 0.0
    milli = problem.gpu_milli
    arrived = np.cumsum(milli) / total * 100
    used = np.cumsum(np.where(placed.node >= 0, milli, 0)) / total * 100
    return float(used[arrived >= arrived[-1] - LAST].mean())


def gpu_allocation_from_90(problem: Problem, placed: Placed) -> float:
    """Return the mean allocation, in percent, over arrivals from 90 % of demand to the end.

    A policy that is good at the end alone may have refused large pods on the way there.
    """
    total = 1000.0 * float(problem.columns[5].sum())
    if not total or not len(problem.ask):
        return 0.0
    milli = problem.gpu_milli
    arrived = np.cumsum(milli) / total * 100
    used = np.cumsum(np.where(placed.node >= 0, milli, 0)) / total * 100
    late = arrived >= min(90.0, arrived[-1] - LAST)
    share = milli[late] / max(1, int(milli[late].sum()))  # by demand, not by number of pods
    return float((used[late] * share).sum())


def gpu_idle_from_90(problem: Problem, placed: Placed) -> float:
    """Return minus the share of GPU that is idle, in percent, on the mean from 90 % of demand on.

    It orders models as `gpu_allocation_from_90` does, but a gain is counted by how much of what was
    idle it puts to use: one point more counts more where few are left to win.
    """
    return gpu_allocation_from_90(problem, placed) - 100.0


def pods_placed(problem: Problem, placed: Placed) -> float:
    """Return the share of the pods that were ever placed, in percent."""
    return 100.0 * float((placed.node >= 0).mean()) if len(placed.node) else 0.0


def mean_wait(problem: Problem, placed: Placed) -> float:
    """Return minus the mean wait in seconds; who never ran has waited until the last arrival."""
    if not len(placed.node):
        return 0.0
    end = int(problem.arrival_us[-1])
    wait = np.where(placed.node >= 0, placed.wait_us, np.maximum(end - problem.arrival_us, 0))
    return -float(wait.mean()) / 1e6


OBJECTIVES: Final[dict[str, Callable[[Problem, Placed], float]]] = {
    "gpu_allocation": gpu_allocation,
    "gpu_allocation_from_90": gpu_allocation_from_90,
    "gpu_idle_from_90": gpu_idle_from_90,
    "pods_placed": pods_placed,
    "mean_wait": mean_wait,
}
"""By the name in a training file; more is better."""
