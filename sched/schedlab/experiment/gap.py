"""How far schedulers were from the best that could have been done, at moments of their runs.

Runs record what happened, not what every pod asks of every node, so a run is made again in memory
and stopped at each moment. All pods that run or wait then are one placement problem, in which
running pods may go anywhere: its linear relaxation says how many could run at most. The gap is the
share of those that don't. It tells of that moment alone: a scheduler that kept the cluster tidy
before has other pods left to place than one that did not.

The bound leaves affinity, spreading, GPUs one by one and whole pods out, so the true gap may be
smaller, never larger. Pods on their way (stored, and not decided on yet) count as waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from schedlab.controlplane.simulation import Simulation
from schedlab.errors import InputError
from schedlab.experiment.comparison import interval
from schedlab.experiment.replay import Remake, remake_run
from schedlab.record.rundir import RunDir
from schedlab.scheduling.base import Pod
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.model import Displacement, placed_of

if TYPE_CHECKING:
    from schedlab.experiment.results import Results

COLUMNS = ("scenario", "scheduler", "seed", "time_us", "priority", "running", "waiting", "bound")
"""Columns of `gaps`, before the gap itself."""
MOMENTS = 20


def gaps(results: Results, *, moments: int = MOMENTS, base: str | Path = ".") -> pd.DataFrame:
    """Return how far each run was from the bound, at moments evenly over its time.

    Parameters
    ----------
    results : Results
        Finished runs.
    moments : int
        How many, >= 1.
    base : str or Path
        Directory to which paths in the experiment are relative.

    Returns
    -------
    DataFrame
        One row a run, moment and priority: of the pods of that priority and above, how many were
        ``running`` (bound or about to be) and ``waiting``, how many could run at most (``bound``),
        and ``gap``, ``1 - running / bound``.

    Raises
    ------
    InputError
        A run can't be made again as it was.
    """
    if moments < 1:
        raise InputError("moments", found=moments, expected="an integer >= 1")
    rows = [
        row
        for run in results.directories
        for row in _of_run(
            run, results.remakes.get(run.path) or remake_run(run, Path(base)), moments
        )
    ]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    bound = found["bound"].clip(lower=1).astype(float)
    return found.assign(gap=(found["bound"] - found["running"]) / bound)


def _of_run(run: RunDir, remake: Remake, moments: int) -> Iterator[dict[str, Any]]:
    end_us = int(run.manifest["end_us"])
    simulation = remake(lambda scheduler: scheduler)
    key = run.key
    for number in range(moments):
        simulation.calendar.run(end_us * (2 * number + 1) // (2 * moments))
        for row in gaps_now(simulation):
            yield {"scenario": key.scenario, "scheduler": key.scheduler, "seed": key.seed, **row}
    simulation.run()
    digest = simulation.record().digest
    if digest != run.manifest["digest"]:
        raise InputError(
            "run",
            found=f"<another course of events for {key.scheduler}, seed {key.seed}>",
            expected="the recorded one: the code or the data has changed since the run",
        )


def gaps_now(simulation: Simulation) -> list[dict[str, Any]]:
    """Return the rows of `gaps` for a simulation as it stands, without the run's name."""
    scheduler = simulation.schedulers[0]
    model = build_model(
        waiting(simulation), scheduler.state, displace=Displacement("any", respect_budgets=False)
    )
    rows = []
    for tier, bound in enumerate(placed_bounds(model)):
        running = placed_of(model, model.running, tier)
        pods = int(model.demand[model.tier <= tier].sum())
        rows.append(
            {
                "time_us": simulation.now_us,
                "priority": int(model.priorities[tier]),
                "running": running,
                "waiting": pods - running,
                # what runs can't be more than could: rounding, or nodes filled beyond their size
                "bound": max(int(bound), running),
            }
        )
    return rows


def waiting(simulation: Simulation) -> list[Pod]:
    """Return the pods that are stored and have no node, in the order of kube-scheduler's queue."""
    pods, scheduler = simulation.pods, simulation.schedulers[0]
    stored, deleted = np.asarray(pods.stored_us), np.asarray(pods.deleted_us)
    open_ = (stored >= 0) & (deleted < 0) & (np.asarray(pods.outcome) == 0)
    open_ &= np.asarray(pods.bound_us) < 0
    found = []
    for row in np.flatnonzero(open_).tolist():
        pod_class = pods.classes[pods.pod_class[row]]
        spec = pod_class.spec
        if row in scheduler.state.node_of or spec.scheduling_gates:
            continue
        if spec.scheduler_name in scheduler.names:
            at = pods.created_us[row]
            found.append(Pod(row, pod_class, pods.names[row], pods.key[row], 1, at, -1))
    return sorted(found, key=lambda pod: (-pod.pod_class.priority, pod.created_us, pod.row))


def summary(found: pd.DataFrame, by: Sequence[str] = ("scenario", "scheduler")) -> pd.DataFrame:
    """Return the mean gap of each scheduler with its 95 % interval over seeds.

    Parameters
    ----------
    found : DataFrame
        Rows of `gaps`; those of the lowest priority stand for all pods.
    by : sequence of str
        What tells schedulers apart.

    Returns
    -------
    DataFrame
        Columns *by*, ``seeds``, ``mean``, ``low``, ``high`` (NaN with one seed; no gap is below
        zero), ``worst`` (the largest gap of all moments), ``at_bound`` (share of moments without
        any gap).
    """
    rows = []
    of_all = found.sort_values("priority", kind="stable")
    of_all = of_all.drop_duplicates([*by, "seed", "time_us"])
    for key, part in of_all.groupby(list(by), sort=False):
        means = part.groupby("seed")["gap"].mean().to_numpy()
        spread = interval(means)
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "seeds": spread.n,
                "mean": spread.mean,
                "low": max(spread.low, 0.0),
                "high": spread.high,
                "worst": float(part["gap"].max()),
                "at_bound": float((part["gap"] == 0).mean()),
            }
        )
    columns = [*by, "seeds", "mean", "low", "high", "worst", "at_bound"]
    order = found[list(by)].drop_duplicates()
    return order.merge(pd.DataFrame(rows, columns=columns), on=list(by), how="left")
