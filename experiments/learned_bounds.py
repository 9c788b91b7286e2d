"""What anybody could reach at best on held-out workloads: bounds beside the schedulers' results.

python experiments/learned_bounds.py experiments/learned-heldout-packing.yaml [SEED ...]

For each scenario and seed, as if all pods were known beforehand. Without GPUs: the pods that can't
be placed, all that come less what the linear relaxation of the whole placement problem places at
most. With GPUs: the most GPU that can be given out of what is asked for until 130 % of all, where
nodes of one kind are one large node and pods may be split. No scheduler can do better; one that
decides as pods come can't be expected to do as well.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from schedlab.experiment.build import build_scenario
from schedlab.experiment.problems import problem_of
from schedlab.experiment.run import make_plan
from schedlab.experiment.training import all_at_once
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.learned.problem import Problem
from schedlab.workload.stream import Cluster, Workload

DEMAND = 1.305
"""The allocation at 130 % is a mean over arrivals up to this share of all GPUs."""


def least_dropped(cluster: Cluster, workload: Workload) -> float:
    """Return how many pods can't be placed, whoever places them."""
    state, pods = all_at_once(cluster, workload)
    (most,) = placed_bounds(build_model(pods, state))
    return len(pods) - most


def most_gpu(problem: Problem) -> float:
    """Return the share of all GPUs that can be given out at most, in percent."""
    cpu, _, memory, _, _, count, model = problem.columns
    nodes = np.stack([cpu, memory, 1000 * count.astype(np.int64), model.astype(np.int64)])
    kinds, number = np.unique(nodes, axis=1, return_counts=True)
    asks = np.column_stack([problem.asks[:, :2], problem.asks[:, 2] * problem.asks[:, 3]])
    until = np.cumsum(problem.gpu_milli) <= DEMAND * nodes[2].sum()
    come = np.bincount(problem.ask[until], minlength=len(asks))
    fits = (asks[:, :, None] <= kinds[None, :3]).all(1)
    fits &= problem.accepts[:, kinds[3]] | (asks[:, 2] == 0)[:, None]
    ask, kind = np.nonzero(fits)  # one variable each: how many of these pods such nodes take
    place = np.arange(len(ask))
    entries = [(kind + len(kinds.T) * r, place, asks[ask, r]) for r in range(3)]
    entries.append((ask + 3 * len(kinds.T), place, np.ones(len(ask))))
    row, column, amount = (np.concatenate(part) for part in zip(*entries, strict=True))
    room = np.concatenate([*(kinds[:3] * number), come]).astype(float)
    scale = np.where(room > 0, room, 1.0)
    matrix = coo_array((amount / scale[row], (row, column)), shape=(len(room), len(ask))).tocsr()
    found = linprog(  # type: ignore[call-overload]
        -asks[ask, 2] / 1000, A_ub=matrix, b_ub=room / scale, method="highs"
    )
    assert found.success
    return 100.0 * -float(found.fun) * 1000 / float(nodes[2].sum())


def main(path: str, *seeds: str) -> None:
    """Print the bounds of an experiment."""
    for scenario in make_plan(path).scenarios:
        bounds = []
        for seed in [int(s) for s in seeds] or scenario.experiment.seeds:
            cluster, workload = build_scenario(scenario, seed)
            problem = problem_of(cluster, workload)
            gpus = bool(problem.columns[5].any())
            bounds.append(most_gpu(problem) if gpus else least_dropped(cluster, workload))
        what = "at most {:.2f} % of the GPUs" if gpus else "at least {:.2f} pods dropped"
        print(  # noqa: T201
            f"{scenario.name}: {what.format(np.mean(bounds))}, mean of {len(bounds)} seeds "
            f"(from {min(bounds):.2f} to {max(bounds):.2f})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
