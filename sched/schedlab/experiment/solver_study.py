"""Solver studies: how close solvers come to a bound on one large problem, and how soon.

The problem is an experiment's cluster and workload with all pods pending at once. Every solver
starts from kube-scheduler's placement, is given several limits of time, and is judged by the
tightest bound that any of them, or the linear relaxation, has proven.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from pydantic import AfterValidator, Field

from schedlab.cluster.state import ClusterState
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.simulation import Simulation
from schedlab.errors import InputError
from schedlab.experiment.build import SCHEDULER_NAME, build_scenario
from schedlab.experiment.config import ExperimentName, Source, read_mapping, read_text
from schedlab.experiment.gap import waiting
from schedlab.experiment.growing_rows import growing, read_rows
from schedlab.experiment.matrix import scenarios
from schedlab.record.wallclock import elapsed_s
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Trigger
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.flow import flow_result
from schedlab.scheduling.ilp.greedy import counts_of, greedy_nodes, make_greedy
from schedlab.scheduling.ilp.model import AssignmentModel, Ints, placed_of
from schedlab.scheduling.ilp.partitioned import solve_partitioned
from schedlab.scheduling.ilp.result import Limits, SolveResult
from schedlab.scheduling.ilp.solve import Solver, solve
from schedlab.scheduling.ilp.validate import violations
from schedlab.scheduling.view import ClusterView
from schedlab.units import MINUTE, parse_duration_us
from schedlab.workload.model import Spec, validated

if TYPE_CHECKING:
    import pandas as pd

GREEDY = "greedy"
FEW = 20
"""Pods of a problem that is solved beforehand."""
METHOD = re.compile(r"full(-cp-sat|-highs)?|flow|partitioned-[1-9]\d*")


def _method(value: str) -> str:
    if METHOD.fullmatch(value) is None:
        expected = "full, full-cp-sat, full-highs, flow, or partitioned-K for K parts"
        raise InputError("", found=value, expected=expected)
    return value


class SolverStudy(Spec):
    """One large problem, and the solvers to compare on it.

    Attributes
    ----------
    name : str
        Names the directory of the results.
    description : str
        The question.
    study : {"solvers"}
        Tells such a file from an experiment.
    data : str, optional
        Directory of the traces, as in an experiment.
    cluster, workload : mapping or str
        As in an experiment; all pods are pending at once.
    objective : str
        See `schedlab.scheduling.ilp.objectives`.
    methods : list of str
        ``full`` (the whole problem, by all we have), ``full-cp-sat`` and ``full-highs`` (the whole
        problem as one integer program), ``flow``, ``partitioned-16`` (with so many parts).
    time_limits : list of duration
        Each method is run once with each; flows end by themselves and are run once.
    workers : int
        Threads; 0 = one per processor.
    """

    name: ExperimentName
    description: str = ""
    study: Literal["solvers"]
    data: str | None = None
    cluster: Any
    workload: Any
    objective: str = "placed"
    methods: Annotated[tuple[Annotated[str, AfterValidator(_method)], ...], Field(min_length=1)] = (
        "full",
        "flow",
        "partitioned-4",
        "partitioned-16",
        "partitioned-64",
    )
    time_limits: Annotated[tuple[str, ...], Field(min_length=1)] = ("10s", "60s")
    workers: Annotated[int, Field(ge=0)] = 2


@dataclass(frozen=True, eq=False)
class Problem:
    """A problem, ready to be solved.

    Attributes
    ----------
    state : ClusterState
        The empty cluster.
    pods : list of Pod
        All pods.
    model : AssignmentModel
        What is to be solved.
    start : int64 array of shape [G, N]
        kube-scheduler's placement.
    build_s, greedy_s, bound_s : float
        Seconds of wall time that the model, that placement and the relaxation took.
    bounds : list of float
        The relaxation's, by tier.
    """

    state: ClusterState
    pods: list[Pod]
    model: AssignmentModel
    start: Ints
    build_s: float
    greedy_s: float
    bound_s: float
    bounds: list[float]


class _Nobody:
    """A scheduler that places nothing, so that everything waits."""

    trigger = Trigger(max_pods=1_000_000, window_us=MINUTE)

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place nothing."""
        return Placement.of(pods)


def read_solver_study(
    path: Path, *, data: str | None = None, time_limits: Sequence[str] | None = None
) -> SolverStudy:
    """Read a study from its file; *data* and *time_limits* replace what stands there.

    Raises
    ------
    InputError
        Something in it can't be used.
    """
    document = read_mapping(read_text(path), str(path))
    if time_limits:
        document["time_limits"] = list(time_limits)
    if data is not None:
        document["data"] = str(Path(data).resolve())
    study = validated(SolverStudy, document, file=path)
    for limit in study.time_limits:
        parse_duration_us(limit)
    return study


def pending_at_once(study: SolverStudy, base: Path) -> tuple[ClusterState, list[Pod]]:
    """Return the cluster of a study, and all pods of its workload, none of them placed.

    Parameters
    ----------
    study : SolverStudy
        The study.
    base : Path
        Directory to which paths in it are relative.
    """
    document = {
        "name": study.name,
        "cluster": study.cluster,
        "workload": study.workload,
        "schedulers": ["kube-scheduler"],
    }
    if study.data is not None:
        document["data"] = study.data
    (scenario,) = scenarios(Source(document, study.name, base))
    cluster, workload = build_scenario(scenario, 0)
    last_us = int(max(workload.pods.time_us, default=0)) + MINUTE
    ideal = ControlPlaneConfig.model_validate({"profile": "ideal"})
    simulation = Simulation(
        cluster, workload, {SCHEDULER_NAME: _Nobody()}, config=ideal, sample_period_us=last_us
    )
    simulation.calendar.run(last_us)
    return simulation.schedulers[0].state, waiting(simulation)


def make_problem(state: ClusterState, pods: list[Pod]) -> Problem:
    """Return the problem of placing pods on a cluster, with kube-scheduler's answer and a bound."""
    few = pods[:FEW]  # lets everything be compiled and imported before time counts
    greedy_nodes(few, state, make_greedy(), Draws(0))
    solve(build_model(few, state), Limits(0.1))
    at = [elapsed_s()]
    model = build_model(pods, state)
    at.append(elapsed_s())
    start = counts_of(model, greedy_nodes(pods, state, make_greedy(), Draws(0)))
    at.append(elapsed_s())
    bounds = placed_bounds(model)
    at.append(elapsed_s())
    build_s, greedy_s, bound_s = np.diff(at).tolist()
    return Problem(state, pods, model, start, build_s, greedy_s, bound_s, bounds)


def run_solver_study(
    study: SolverStudy,
    base: Path,
    folder: Path,
    *,
    resume: bool = False,
    told: Callable[[Mapping[str, Any]], None] = lambda row: None,
) -> pd.DataFrame:
    """Run a study; return its results, one row a method and limit.

    Parameters
    ----------
    study : SolverStudy
        The study.
    base : Path
        Directory to which paths in it are relative.
    folder : Path
        Where the results go: ``results.jsonl``, which grows with every row, and ``gap.png``.
    resume : bool, default False
        Keep the rows that are there.
    told : callable
        Is told every row.

    Raises
    ------
    RuntimeError
        A solver returned a placement that breaks a rule: a defect.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.jsonl"
    rows = read_rows(file) if resume else []
    problem = make_problem(*pending_at_once(study, base))
    known = {(row["method"], row["time_limit"]): row for row in rows}
    wanted = [(GREEDY, ""), *_asked(study)]
    # all that is known is written before anything is solved: it may be cut off
    with growing(file, [known[key] for key in wanted if key in known]) as add:
        rows = []
        for method, limit in wanted:
            row = known.get((method, limit))
            if row is None:
                row = _row(problem, study, method, limit)
                add(row)
            rows.append(row)
            told(row)
    found = judged(rows)
    _draw(found, folder)
    return found


def _asked(study: SolverStudy) -> list[tuple[str, str]]:
    limits = sorted(study.time_limits, key=parse_duration_us)
    return [
        (method, limit)
        for method in study.methods
        for limit in (limits[-1:] if method == "flow" else limits)
    ]


def _row(problem: Problem, study: SolverStudy, method: str, limit: str) -> dict[str, Any]:
    model, tiers = problem.model, range(len(problem.model.priorities))
    if method == GREEDY:
        placed = [placed_of(model, problem.start, t) for t in tiers]
        bounds, wall_s, solve_s = problem.bounds, problem.greedy_s, 0.0
    else:
        start_s = elapsed_s()
        result = _solved(problem, study, method, parse_duration_us(limit) / 1e6)
        solve_s = elapsed_s() - start_s
        wall_s = problem.build_s + problem.greedy_s + solve_s
        wrong = violations(problem.pods, result.node, problem.state)
        if wrong:
            raise RuntimeError(f"{method} broke a rule: {wrong[0]}")
        levels = [level for level in result.levels if level.name == "placed"]
        placed = [level.value for level in levels]
        bounds = [
            min(level.bound, known) for level, known in zip(levels, problem.bounds, strict=True)
        ]
    return {
        "method": method,
        "time_limit": limit,
        "nodes": len(model.rows),
        "pods": len(problem.pods),
        "classes": len(model.groups),
        "priorities": model.priorities.tolist(),
        "placed": placed,
        "bounds": bounds,
        "wall_s": wall_s,
        "solve_s": solve_s,
        "build_s": problem.build_s,
        "greedy_s": problem.greedy_s,
        "relaxation_s": problem.bound_s,
    }


def _solved(problem: Problem, study: SolverStudy, method: str, seconds: float) -> SolveResult:
    limits = Limits(seconds, workers=study.workers, deterministic=False)
    if method.startswith("full"):
        solver = cast(Solver, method.removeprefix("full").lstrip("-") or "auto")
        return solve(
            problem.model, limits, objective=study.objective, solver=solver, start=problem.start
        )
    if method == "flow":
        return flow_result(problem.model, problem.start, limits)
    parts = int(method.removeprefix("partitioned-"))
    return solve_partitioned(
        problem.model, limits, parts=parts, objective=study.objective, start=problem.start
    )


def judged(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows with the tightest bound of all of them, and the gap to it.

    ``gap`` is the largest over priorities of ``1 - placed / bound``, each with those above it.
    """
    import pandas as pd

    best = np.min([row["bounds"] for row in rows], axis=0)
    gaps = [
        float(np.max(1 - np.array(row["placed"]) / np.maximum(best, 1), initial=0.0))
        for row in rows
    ]
    return pd.DataFrame(rows).assign(bound=float(best[-1]) if len(best) else 0.0, gap=gaps)


def _draw(found: pd.DataFrame, folder: Path) -> None:
    from schedlab.report.gap import gap_over_time

    figure = gap_over_time(found).get_figure(root=True)
    if figure is not None:
        figure.savefig(folder / "gap.png", dpi=150, bbox_inches="tight")
