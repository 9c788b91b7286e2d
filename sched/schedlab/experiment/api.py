"""What notebooks and scripts call: `run`, `simulate` and `compare`; `load` is in `results`."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.simulation import Simulation
from schedlab.controlplane.simulation import simulate as simulate_one
from schedlab.errors import InputError
from schedlab.experiment.build import SCHEDULER_NAME
from schedlab.experiment.config import Experiment
from schedlab.experiment.replay import Remake, Wrap
from schedlab.experiment.results import Results, joined
from schedlab.experiment.run import make_plan, run_plan
from schedlab.experiment.settings import Setting
from schedlab.record.rundir import RunDir, RunKey, write_run
from schedlab.record.wallclock import Stopwatch
from schedlab.rng import Draws
from schedlab.scheduling.base import Scheduler
from schedlab.scheduling.functions import as_scheduler
from schedlab.scheduling.registry import load_scheduler
from schedlab.units import parse_duration_us
from schedlab.workload.clusters import build_cluster
from schedlab.workload.generate import build_workload
from schedlab.workload.model import validated
from schedlab.workload.specs import ClusterSpec, WorkloadSpec
from schedlab.workload.stream import Cluster, Workload

if TYPE_CHECKING:
    import pandas as pd

AnyCluster = Cluster | ClusterSpec | Mapping[str, Any]
AnyWorkload = Workload | WorkloadSpec | Mapping[str, Any]
AnyScheduler = str | Scheduler | Callable[..., Any]


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    *,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    resume: bool = False,
) -> Results:
    """Run an experiment and return its results.

    Parameters
    ----------
    experiment : str, Path, mapping or Experiment
        A file, the name of a built-in experiment, or the values themselves.
    settings : mapping of dotted path to value, optional
        Laid over the experiment, as ``{"seeds": 3, "workload.horizon": "1h"}``. Paths in values
        are relative to the current directory.
    out : str or Path, optional
        Directory for the results; a temporary one, removed with the results, where absent.
    jobs : int, default 1
        Processes; -1 = one per processor. Results don't depend on it.
    resume : bool, default False
        Keep runs that are in *out* already.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        Something in the experiment can't be used.
    """
    laid = [Setting(path, value, "settings") for path, value in (settings or {}).items()]
    plan = make_plan(experiment, laid)
    if out is not None:
        return run_plan(plan, out, jobs=jobs, resume=resume)
    folder = Path(tempfile.mkdtemp(prefix="schedlab-"))
    return run_plan(plan, folder, jobs=jobs).removing(folder)


def simulate(
    cluster: pd.DataFrame | AnyCluster,
    workload: pd.DataFrame | AnyWorkload,
    schedulers: Sequence[AnyScheduler] | Mapping[str, AnyScheduler],
    *,
    seeds: int | Sequence[int] = 1,
    control_plane: ControlPlaneConfig | Mapping[str, Any] | str = "default",
    until: str | float | None = None,
    warm_up: str | float = 0,
    sample_period: str | float = "1m",
    name: str = "simulation",
    out: str | Path | None = None,
) -> Results:
    """Simulate one workload under several schedulers, from a notebook's own data.

    Parameters
    ----------
    cluster : DataFrame, Cluster, ClusterSpec or mapping
        One row per node with columns such as name, cpu, memory, zone; see
        `schedlab.workload.frames`. Or what stands under ``cluster:`` in an experiment.
    workload : DataFrame, Workload, WorkloadSpec or mapping
        One row per pod with columns such as arrival_s, duration_s, cpu, memory.
    schedulers : sequence, or mapping of name to scheduler
        Names of built-in schedulers, ``file.py:Class``, instances (each run gets a copy), classes,
        or functions: ``f(pods, view, rng) -> Placement``, or ``f(pod, view)`` that returns the row
        of a node, or None.
    seeds : int or sequence of int, default 1
        Number of seeds, or the seeds. With DataFrames they change latencies and ties alone.
    control_plane : ControlPlaneConfig, mapping or str, default "default"
        Parameters, or the name of a profile: "ideal", "kubemark", "default".
    until : duration, optional
        When to stop, such as "2h" or a number of seconds; when nothing can change where absent.
    warm_up : duration, default 0
        What is created or used before isn't measured.
    sample_period : duration, default "1m"
        Time between samples.
    name : str, default "simulation"
        For tables and plots.
    out : str or Path, optional
        Directory for the results; a temporary one, removed with the results, where absent.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        Something in the input can't be used.

    Examples
    --------
    >>> import pandas as pd
    >>> nodes = pd.DataFrame({"cpu": [4, 4], "memory": "8Gi"})
    >>> pods = pd.DataFrame({"cpu": [1, 1, 2], "memory": "1Gi", "duration_s": 60})
    >>> simulate(nodes, pods, ["first-fit"]).runs["pods_succeeded"].tolist()
    [3.0]
    """
    makers = _makers(schedulers)
    config = _control_plane(control_plane)
    until_us = None if until in (None, "drain") else parse_duration_us(until)
    warmup_us, period_us = parse_duration_us(warm_up), parse_duration_us(sample_period)
    folder = Path(tempfile.mkdtemp(prefix="schedlab-")) if out is None else Path(out)
    about = {
        "name": name,
        "controlPlane": config.model_dump(mode="json", by_alias=True),
        "until": "drain" if until_us is None else f"{until_us}us",
        "warm_up": f"{warmup_us}us",
        "sample_period": f"{period_us}us",
    }
    runs: list[RunDir] = []
    remakes: dict[Path, Remake] = {}

    def remade(seed: int, make: Callable[[], Scheduler], wrap: Wrap) -> Simulation:
        nodes = _cluster_of(cluster, seed)
        return Simulation(
            nodes,
            _workload_of(workload, nodes, seed),
            {SCHEDULER_NAME: wrap(make())},
            config=config,
            seed=seed,
            until_us=until_us,
            sample_period_us=period_us,
        )

    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        nodes = _cluster_of(cluster, seed)
        work = _workload_of(workload, nodes, seed)
        for scheduler, make in makers.items():
            watch = Stopwatch()
            with watch.phase("simulate"):
                record = simulate_one(
                    nodes,
                    work,
                    {SCHEDULER_NAME: make()},
                    config=config,
                    seed=seed,
                    until_us=until_us,
                    sample_period_us=period_us,
                )
            runs.append(
                write_run(
                    folder,
                    RunKey("default", scheduler, seed),
                    record,
                    config={**about, "scheduler": scheduler, "seed": seed},
                    experiment=name,
                    warmup_us=warmup_us,
                    laps=watch.laps,
                )
            )
            remakes[runs[-1].path] = partial(remade, seed, make)
    results = Results(runs, name=name, remakes=remakes)
    return results if out is not None else results.removing(folder)


def compare(
    *results: Results, metrics: Sequence[str] | None = None, baseline: str | None = None
) -> pd.DataFrame:
    """Compare the schedulers of one or more results: means, intervals, paired differences.

    Parameters
    ----------
    *results : Results
        Those of one experiment are put together; others become scenarios of their own.
    metrics : sequence of str, optional
        Metrics or aliases such as ``wait_p99``.
    baseline : str, optional
        The scheduler that others are compared to; the first one where absent.
    """
    if not results:
        raise InputError("results", found="<nothing>", expected="at least one Results")
    parts = [(f"{part.name} {i}", part) for i, part in enumerate(results, start=1)]
    return joined(parts).compare(metrics, baseline)


def _makers(
    schedulers: Sequence[AnyScheduler] | Mapping[str, AnyScheduler],
) -> dict[str, Callable[[], Scheduler]]:
    """Return, by name, what makes a fresh scheduler for each run."""
    if isinstance(schedulers, str | bytes) or not schedulers:
        raise InputError("schedulers", found=schedulers, expected="a list of at least one")
    if isinstance(schedulers, Mapping):
        return {name: _maker(what) for name, what in schedulers.items()}
    makers: dict[str, Callable[[], Scheduler]] = {}
    for what in schedulers:
        name = _name_of(what)
        if name in makers:
            raise InputError(
                "schedulers", found=name, expected="unique names", hint="give a mapping by name"
            )
        makers[name] = _maker(what)
    return makers


def _name_of(what: AnyScheduler) -> str:
    if isinstance(what, str):
        return what.rpartition(":")[2]
    return str(getattr(what, "name", None) or getattr(what, "__name__", type(what).__name__))


def _maker(what: AnyScheduler) -> Callable[[], Scheduler]:
    if isinstance(what, str):
        load_scheduler(what)  # a wrong name is an error now, not in the middle
        return lambda: load_scheduler(what)
    if isinstance(what, type):
        return what
    if callable(getattr(what, "schedule", None)):
        return lambda: copy.deepcopy(what)  # type: ignore[return-value]
    if callable(what):
        as_scheduler(what)  # a function of another shape is an error now, too
        return lambda: as_scheduler(what)
    raise InputError("schedulers", found=what, expected="a name, a scheduler or a function")


def _control_plane(what: ControlPlaneConfig | Mapping[str, Any] | str) -> ControlPlaneConfig:
    if isinstance(what, ControlPlaneConfig):
        return what
    values = {"profile": what} if isinstance(what, str) else what
    try:
        return validated(ControlPlaneConfig, values)
    except InputError as error:
        raise error.under("control_plane") from None


def _cluster_of(what: Any, seed: int) -> Cluster:
    if isinstance(what, Cluster):
        return what
    if isinstance(what, ClusterSpec | Mapping):
        spec = what if isinstance(what, ClusterSpec) else validated(ClusterSpec, what)
        return build_cluster(spec, Draws(seed))
    from schedlab.workload.frames import cluster_from_frame

    return cluster_from_frame(what)


def _workload_of(what: Any, cluster: Cluster, seed: int) -> Workload:
    if isinstance(what, Workload):
        return what
    if isinstance(what, WorkloadSpec | Mapping):
        spec = what if isinstance(what, WorkloadSpec) else validated(WorkloadSpec, what)
        return build_workload(spec, cluster, Draws(seed))
    from schedlab.workload.frames import workload_from_frame

    return workload_from_frame(what)
