"""Placement studies: how often, and how surely, a solver does better than kube-scheduler.

As in "Priority Matters": the pods of an instance come ReplicaSet by ReplicaSet to kube-scheduler,
made deterministic (ties by name, no preemption). Instances on which it places all pods are left
out. On the others the solver may evict and move, within a limit of time, and each instance has one
of four outcomes: *better* (more pods placed, tier by tier), *optimal* (kube-scheduler's placement
is proven to place as many as any), *unknown*, and *worse*, which can't happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.experiment.config import ExperimentName, read_mapping, read_text
from schedlab.experiment.growing_rows import growing, read_rows
from schedlab.record.wallclock import elapsed_s
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.greedy import make_greedy
from schedlab.scheduling.ilp.model import Displacement
from schedlab.scheduling.ilp.result import Limits, SolveResult
from schedlab.scheduling.ilp.solve import solve
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView
from schedlab.units import parse_duration_us
from schedlab.workload.model import Positive, Spec, validated
from schedlab.workload.priority_matters import NAMESPACE, Instance, priority_matters

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = ("better", "optimal", "unknown", "worse")
CELL = ["nodes", "pods_per_node", "priorities", "utilisation"]
MOST_CANDIDATES = 20_000
"""Instances that are tried for one cell: at low load kube-scheduler seldom fails."""

Count = Annotated[tuple[Positive, ...], Field(min_length=1)]


class PlacementStudy(Spec):
    """A grid of instances, and what the solver may do.

    Attributes
    ----------
    name : str
        Names the directory of the results.
    description : str
        The question.
    study : {"placement"}
        Tells such a file from an experiment.
    nodes, pods_per_node, priorities : list of int
        Axes of the grid.
    utilisation : list of float
        The last axis.
    seeds : int
        Instances of each cell.
    time_limits : list of duration
        Each is a row of the results. An instance whose tiers are all proven within one limit is
        not solved again within a longer one.
    workers : int
        Threads of the solver.
    objective : str
        See `schedlab.scheduling.ilp.objectives`.
    deterministic : bool
        Count work instead of wall time.
    """

    name: ExperimentName
    description: str = ""
    study: Literal["placement"]
    nodes: Count
    pods_per_node: Count
    priorities: Count
    utilisation: Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Field(min_length=1)]
    seeds: Positive = 20
    time_limits: Annotated[tuple[str, ...], Field(min_length=1)] = ("1s", "10s")
    workers: Positive = 2
    objective: str = "placed+disruption"
    deterministic: bool = False


@dataclass(frozen=True)
class Case:
    """One instance of a cell, after kube-scheduler.

    Attributes
    ----------
    cell : mapping of str to number
        Its place in the grid.
    seed : int
        Seed of the instance.
    candidate : int
        Number of the candidate that it is: the ones between were placed completely.
    state : ClusterState
        The cluster, with the pods that were placed.
    waiting : tuple of Pod
        Those that were not.
    """

    cell: Mapping[str, float]
    seed: int
    candidate: int
    state: ClusterState
    waiting: tuple[Pod, ...]


def read_study(
    path: Path, *, seeds: int | None = None, time_limits: Sequence[str] | None = None
) -> PlacementStudy:
    """Read a study from its file; *seeds* and *time_limits* replace what stands there.

    Raises
    ------
    InputError
        Something in it can't be used.
    """
    document = read_mapping(read_text(path), str(path))
    if seeds is not None:
        document["seeds"] = seeds
    if time_limits:
        document["time_limits"] = list(time_limits)
    study = validated(PlacementStudy, document, file=path)
    for limit in study.time_limits:
        parse_duration_us(limit)
    return study


def cells(study: PlacementStudy) -> list[dict[str, float]]:
    """Return the cells of the grid."""
    axes = (study.nodes, study.pods_per_node, study.priorities, study.utilisation)
    return [dict(zip(CELL, values, strict=True)) for values in product(*axes)]


def cases(cell: Mapping[str, float], count: int) -> Iterator[Case]:
    """Yield the first instances of a cell on which kube-scheduler does not place all pods."""
    draws = Draws(0, "priority-matters")
    scheduler = make_greedy()
    found = 0
    for candidate in range(MOST_CANDIDATES):
        if found == count:
            return
        seed = draws.bits(candidate) >> 1
        instance = priority_matters(
            seed,
            nodes=int(cell["nodes"]),
            pods_per_node=int(cell["pods_per_node"]),
            priorities=int(cell["priorities"]),
            utilisation=cell["utilisation"],
        )
        state, waiting = placed_one_by_one(instance, scheduler)
        if waiting:
            found += 1
            yield Case(cell, seed, candidate, state, waiting)


def placed_one_by_one(
    instance: Instance, scheduler: KubeScheduler | None = None
) -> tuple[ClusterState, tuple[Pod, ...]]:
    """Let kube-scheduler place an instance; return the cluster, and the pods that wait.

    Parameters
    ----------
    instance : Instance
        The instance.
    scheduler : KubeScheduler, optional
        Deterministic kube-scheduler without preemption; made anew when absent.
    """
    scheduler = scheduler or make_greedy()
    state = ClusterState(ClassTable(ResourceNames()))
    for node in instance.nodes:
        state.nodes.add(node)
    for pods in instance.sets:
        state.classes.mention(pods.template.metadata.labels)
        state.objects.put(pods.object())  # kube-scheduler spreads the pods of each
    view, draws = ClusterView(state), Draws(0)
    names: list[str] = []
    waiting = []
    for pods in instance.sets:
        pod_class = state.classes.intern(
            NAMESPACE,
            pods.template.spec,
            pods.priority,
            labels=pods.template.metadata.labels,
            owner=("ReplicaSet", pods.name),
        )
        for replica in range(pods.replicas):
            row = len(names)
            names.append(f"{NAMESPACE}/{pods.name}-{replica}")
            pod = Pod(row, pod_class, names[row], entity_key(pods.name, replica), 1, 0, -1)
            at = scheduler.schedule(PodBatch([pod]), view, draws).node[0]
            if at >= 0:
                state.add_pod(row, pod_class, at)
            else:
                waiting.append(pod)
    state.names = names
    return state, tuple(waiting)


def solve_case(case: Case, study: PlacementStudy, time_limit: str) -> dict[str, Any]:
    """Solve one instance; return a row of the results."""
    start = elapsed_s()
    model = build_model(case.waiting, case.state, displace=Displacement("any"))
    before = model.placed_by_tier(model.running).tolist()
    limits = Limits(
        parse_duration_us(time_limit) / 1e6 - (elapsed_s() - start),
        workers=1 if study.deterministic else study.workers,
        deterministic=study.deterministic,
    )
    result = solve(model, limits, objective=study.objective)
    wall_s = elapsed_s() - start
    priorities = model.priorities.tolist()
    after = [result.placed_by_tier[p] for p in priorities]
    return {
        **case.cell,
        "seed": case.seed,
        "candidate": case.candidate,
        "time_limit": time_limit,
        "outcome": _outcome(before, after, proven=tiers_proven(result)),
        "tiers_proven": tiers_proven(result),
        "all_proven": all(level.optimal for level in result.levels),
        "gap": result.gap,
        "bound": result.bound,
        "pods": sum(group.size for group in model.groups),
        "before": sum(before),
        "after": sum(after),
        "before_by_priority": dict(zip(map(str, priorities), before, strict=True)),
        "after_by_priority": dict(zip(map(str, priorities), after, strict=True)),
        "moved": len(result.moved),
        "evicted": len(result.evicted),
        "wall_s": wall_s,
    }


def tiers_proven(result: SolveResult) -> bool:
    """Return whether the number of pods placed is proven in every tier.

    Where disruption stands between two tiers in the objective it has to be proven, too: what a
    lower tier can get depends on it.
    """
    placed = [i for i, level in enumerate(result.levels) if level.name == "placed"]
    last = max(placed, default=-1)
    return all(level.optimal for level in result.levels[: last + 1])


def _outcome(before: list[int], after: list[int], *, proven: bool) -> str:
    if after > before:
        return "better"
    if after < before:
        return "worse"
    return "optimal" if proven else "unknown"


def run_study(
    study: PlacementStudy,
    folder: Path,
    *,
    resume: bool = False,
    told: Callable[[Mapping[str, Any]], None] = lambda row: None,
) -> pd.DataFrame:
    """Run a study cell by cell; return its results, one row an instance and limit.

    Parameters
    ----------
    study : PlacementStudy
        The study.
    folder : Path
        Where the results go: a file ``results.jsonl`` that grows with every row.
    resume : bool, default False
        Keep the instances that are there, also of a study with fewer of them.
    told : callable
        Is told every row.
    """
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.jsonl"
    rows = _kept(file, study) if resume else []
    done = {_instance(row) for row in rows}
    with growing(file, rows) as add:
        _warm_up()
        for cell in cells(study):
            for case in cases(cell, study.seeds):
                if (*cell.values(), case.candidate) in done:
                    continue
                for row in _case_rows(case, study):
                    rows.append(row)
                    add(row)
                    told(row)
    return pd.DataFrame(rows)


def _case_rows(case: Case, study: PlacementStudy) -> Iterator[dict[str, Any]]:
    known: dict[str, Any] | None = None
    for limit in sorted(study.time_limits, key=parse_duration_us):
        if known is not None and known["tiers_proven"]:
            known = {**known, "time_limit": limit}
        else:
            known = solve_case(case, study, limit)
        yield known


def _instance(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in (*CELL, "candidate"))


def _warm_up() -> None:
    """Let everything be compiled and imported before time counts."""
    cell = {"nodes": 4, "pods_per_node": 4, "priorities": 2, "utilisation": 1.05}
    study = PlacementStudy.model_validate(
        {"name": "warm-up", "study": "placement", "seeds": 1, "time_limits": ["1s"]}
        | {key: [value] for key, value in cell.items()}
    )
    for case in cases(cell, 2):
        solve_case(case, study, "1s")


def _kept(file: Path, study: PlacementStudy) -> list[dict[str, Any]]:
    """Return the rows of instances that were solved within each limit."""
    rows = read_rows(file)
    limits: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        limits.setdefault(_instance(row), set()).add(row["time_limit"])
    wanted = set(study.time_limits)
    return [row for row in rows if limits[_instance(row)] == wanted]


def shares(results: pd.DataFrame, by: Iterable[str] = ()) -> pd.DataFrame:
    """Return the shares of the outcomes, and of what is proven, with Wilson intervals.

    Parameters
    ----------
    results : DataFrame
        Rows of `run_study`.
    by : iterable of str
        Columns beside the time limit to part the rows by, as `CELL`.
    """
    import pandas as pd

    keys = ["time_limit", *by]
    rows = []
    for key, part in results.groupby(keys, sort=False):
        n = len(part)
        row: dict[str, Any] = dict(zip(keys, key, strict=True)) | {"n": n}
        counts = {outcome: int((part["outcome"] == outcome).sum()) for outcome in OUTCOMES}
        counts["better or optimal"] = counts["better"] + counts["optimal"]
        counts["tiers proven"] = int(part["tiers_proven"].sum())
        for name, count in counts.items():
            low, high = wilson(count, n)
            row |= {name: count / n, f"{name} low": low, f"{name} high": high}
        row["mean gap"] = float(part["gap"].mean())
        rows.append(row)
    return pd.DataFrame(rows)


def wilson(count: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval of a share (95 % by default).

    Examples
    --------
    >>> [round(end, 4) for end in wilson(18, 20)]
    [0.699, 0.9721]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if n == 0:
        return 0.0, 1.0
    share, square = count / n, z * z
    centre = share + square / (2 * n)
    spread = z * ((share * (1 - share) + square / (4 * n)) / n) ** 0.5
    scale = 1 + square / n
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)
