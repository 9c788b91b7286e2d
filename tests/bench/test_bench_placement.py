"""Placement at scale: how close to the bound, how soon, in how much memory."""

import resource
import sys
from pathlib import Path

import pytest

from schedlab.experiment.solver_study import (
    make_problem,
    pending_at_once,
    read_solver_study,
)
from schedlab.scheduling.ilp.partitioned import solve_partitioned
from schedlab.scheduling.ilp.result import Limits
from schedlab.scheduling.ilp.solve import solve

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
OPENB = ROOT.parent / "shared" / "data" / "openb"


def said(problem, results):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stderr.write(
        f"\n{len(problem.model.rows):,} nodes x {len(problem.pods):,} pods: kube-scheduler "
        f"{problem.greedy_s:.1f} s, relaxation {problem.bound_s:.1f} s, {peak:,.0f} MiB\n"
    )
    for name, result in results.items():
        placed = "/".join(str(level.value) for level in result.levels)
        sys.stderr.write(f"{name}: {placed}, gap {result.gap:.2%}, {result.wall_s:.1f} s\n")
    return peak


def test_five_thousand_nodes(benchmark):
    path = ROOT / "experiments" / "placement-scale.yaml"
    problem = make_problem(*pending_at_once(read_solver_study(path), path.parent))
    left = 55.0 - problem.greedy_s - problem.build_s  # the whole within a minute
    limits = Limits(left, workers=2, deterministic=False)
    found = {}

    def run():
        found["full"] = solve(problem.model, limits, start=problem.start)

    benchmark.pedantic(run, rounds=1)
    assert said(problem, found) < 4096
    assert all(level.gap <= 0.01 for level in found["full"].levels)
    assert problem.greedy_s + problem.build_s + found["full"].wall_s < 60


@pytest.mark.skipif(not OPENB.is_dir(), reason="the openb trace is not there")
def test_a_production_cluster_with_gpus(benchmark):
    path = ROOT / "experiments" / "openb-solvers.yaml"
    study = read_solver_study(path, data=str(OPENB))
    problem = make_problem(*pending_at_once(study, path.parent))
    assert problem.bound_s < 60
    found = {}

    def run():
        limits = Limits(10.0, workers=2, deterministic=False)
        for parts in (4, 16, 64):
            found[f"partitioned-{parts}"] = solve_partitioned(
                problem.model, limits, parts=parts, start=problem.start
            )

    benchmark.pedantic(run, rounds=1)
    said(problem, found)
    assert all(result.objective >= 0.98 * problem.bounds[-1] for result in found.values())
