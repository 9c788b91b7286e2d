"""Running experiments: the product of scenarios, schedulers and seeds, in one or many processes.

A finished run stands whole in its directory under an id that says all it depends on. A sweep that
was stopped therefore goes on where it was: runs whose id is there are kept, the others are made.
Parallel runs share nothing, so the number of processes changes no byte of any result.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import joblib

from schedlab.controlplane.simulation import simulate
from schedlab.errors import InputError
from schedlab.experiment.build import (
    SCHEDULER_NAME,
    RunSpec,
    build_inputs,
    build_scenario,
    build_scheduler,
    run_specs,
    scenario_of,
    trace_files,
)
from schedlab.experiment.config import Experiment, Source, read_source
from schedlab.experiment.interrupts import interrupts_held
from schedlab.experiment.matrix import Scenario, located, scenarios
from schedlab.experiment.progress import FINISHED, RUNNING, Board
from schedlab.experiment.replay import remake_spec
from schedlab.experiment.results import Results, write_index
from schedlab.experiment.settings import Setting
from schedlab.record.rundir import (
    RunDir,
    read_run,
    remove_partial,
    write_run,
    write_summary,
)
from schedlab.record.wallclock import Stopwatch
from schedlab.scheduling.warm_up import warm_up


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment, checked and ready.

    Attributes
    ----------
    source : Source
        Where the experiment was written.
    scenarios : tuple of Scenario
        The points of its matrix.
    runs : tuple of RunSpec
        By scenario, then seed, then scheduler.
    left_out : tuple of str
        Scenarios whose traces are not there, where the experiment says to go on without them.
    """

    source: Source
    scenarios: tuple[Scenario, ...]
    runs: tuple[RunSpec, ...]
    left_out: tuple[str, ...] = ()

    @property
    def experiment(self) -> Experiment:
        """The experiment as it is in the first scenario."""
        return self.scenarios[0].experiment


class Watcher(Protocol):
    """Whom the progress of an experiment is shown to."""

    def started(self, board: Board, kept: int) -> None:
        """Begin: *kept* runs were there already."""

    def finished(self, run: RunDir) -> None:
        """One more run is complete."""

    def stopped(self) -> None:
        """No more runs will follow."""


def make_plan(
    what: str | Path | Mapping[str, Any] | Experiment,
    settings: Sequence[Setting] = (),
    *,
    cwd: Path | None = None,
) -> Plan:
    """Return the runs of an experiment, after checking all that can be checked without running.

    Parameters
    ----------
    what : str, Path, mapping or Experiment
        A file, the name of a built-in experiment, or the values themselves.
    settings : sequence of Setting
        Values laid over it.
    cwd : Path, optional
        Directory to which paths in *settings* are relative.

    Raises
    ------
    InputError
        With file, field, what was found and what is expected.
    """
    source = read_source(what)
    found, left_out = _with_traces(scenarios(source, settings, cwd))
    runs: list[RunSpec] = []
    for scenario in found:
        try:
            for scheduler in scenario.experiment.schedulers:
                build_scheduler(scheduler, scenario.bases[""])
        except InputError as error:
            raise located(error, source, settings) from None
        runs += run_specs(scenario)
    return Plan(source, tuple(found), tuple(runs), left_out)


def _with_traces(every: list[Scenario]) -> tuple[list[Scenario], tuple[str, ...]]:
    """Return the scenarios to run, and the names of those to leave out as their traces lack.

    Where all of them lack, none is left out, so that the error says what is missing.
    """
    missing = [
        scenario.experiment.missing_traces == "leave_out"
        and not all(path.is_file() for path in trace_files(scenario).values())
        for scenario in every
    ]
    if all(missing):
        return every, ()
    kept = [scenario for scenario, lacks in zip(every, missing, strict=True) if not lacks]
    return kept, tuple(s.name for s, lacks in zip(every, missing, strict=True) if lacks)


def check(plan: Plan) -> list[str]:
    """Build cluster and workload of each scenario under its first seed; return what they are.

    Raises
    ------
    InputError
        With file, field, what was found and what is expected.
    """
    lines = []
    for scenario in plan.scenarios:
        seed = scenario.experiment.seeds[0]
        try:
            cluster, workload = build_scenario(scenario, seed)
        except InputError as error:
            raise located(error, plan.source) from None
        lines.append(
            f"{scenario.name}: {len(cluster.nodes):,} nodes, {len(workload.pods):,} bare pods, "
            f"{len(workload.objects):,} requests for objects (seed {seed})"
        )
    return lines


@cache
def _prepare() -> None:
    """Load what all runs of a process need, and keep the garbage collector from walking it."""
    warm_up()
    gc.freeze()


def execute(spec: RunSpec, root: str, board: tuple[str, int, int] | None = None) -> RunDir:
    """Make one run and write it below *root*.

    Parameters
    ----------
    spec : RunSpec
        The run.
    root : str
        Directory of the experiment's results.
    board : tuple, optional
        Path, size and row of the `Board` to report to.
    """
    _prepare()
    watch = Stopwatch()
    scenario = scenario_of(spec)
    experiment = scenario.experiment
    shared, row = (Board(*board[:2]), board[2]) if board is not None else (None, 0)
    if shared is not None:
        shared.put(row, RUNNING, 0, 0)
    with watch.phase("build"):
        cluster, workload = build_inputs(spec)
        scheduler = build_scheduler(experiment.schedulers[0], scenario.bases[""])
    with watch.phase("simulate"):
        record = simulate(
            cluster,
            workload,
            {SCHEDULER_NAME: scheduler},
            config=experiment.control_plane,
            seed=spec.key.seed,
            until_us=experiment.until,
            sample_period_us=experiment.sample_period,
            observer=shared.observer(row) if shared is not None else None,
        )
    run = write_run(
        root,
        spec.key,
        record,
        config=spec.config,
        run_id=spec.run_id,
        experiment=spec.experiment,
        warmup_us=experiment.warm_up,
        inputs=spec.inputs,
        laps=watch.laps,
    )
    if shared is not None:
        shared.put(row, FINISHED, record.end_us, int(run.metrics()["pods_placed"]))
    return run


def run_plan(
    plan: Plan,
    root: str | Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Results:
    """Make the runs of a plan and return all results.

    Parameters
    ----------
    plan : Plan
        What to run.
    root : str or Path
        Directory of the results.
    jobs : int, default 1
        Processes; results don't depend on it.
    resume : bool, default False
        Keep runs that are there under the same id.
    watcher : Watcher, optional
        Told of progress.

    Raises
    ------
    InputError
        Something in the input of a run can't be used.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    experiment = plan.experiment
    about = {
        "name": experiment.name,
        "description": experiment.description,
        "metrics": list(experiment.metrics),
        "baseline": experiment.baseline or experiment.schedulers[0].name,
        "plots": list(experiment.plots),
    }
    write_index(root, about, [(spec.key, spec.run_id) for spec in plan.runs])
    finished = _there(plan, root) if resume else {}
    board = Board.create(len(plan.runs))
    for row, run in finished.items():
        board.put(row, FINISHED, run.manifest["end_us"], int(run.metrics()["pods_placed"]))
    if watcher is not None:
        watcher.started(board, len(finished))
    todo = [row for row in range(len(plan.runs)) if row not in finished]
    try:
        with closing(_executed(plan, root, todo, board, jobs)) as executed:
            for row, run in executed:
                finished[row] = run
                if watcher is not None:
                    watcher.finished(run)
    except InputError as error:
        raise located(error, plan.source) from None
    finally:
        board.remove()
        remove_partial(root)
        if len(finished) < len(plan.runs):
            finished |= _there(plan, root)  # what other processes finished unseen
        if finished:
            write_summary(root, [finished[row] for row in sorted(finished)])
        if watcher is not None:
            watcher.stopped()
    return Results(
        [finished[row] for row in sorted(finished)],
        name=experiment.name,
        metrics=experiment.metrics,
        baseline=experiment.baseline,
        plots=experiment.plots,
        remakes={run.path: partial(remake_spec, plan.runs[row]) for row, run in finished.items()},
    )


def _there(plan: Plan, root: Path) -> dict[int, RunDir]:
    """Return the runs of a plan that stand complete under their ids, by row."""
    found = {}
    for row, spec in enumerate(plan.runs):
        run = read_run(spec.key.path(root))
        if run is not None and run.manifest["run_id"] == spec.run_id:
            found[row] = run
    return found


def _executed(
    plan: Plan, root: Path, rows: Sequence[int], board: Board, jobs: int
) -> Generator[tuple[int, RunDir]]:
    """Yield the runs of *rows* as they get ready."""
    place = (str(board.path), board.runs)
    if jobs == 1 or len(rows) < 2:
        for row in rows:
            yield row, execute(plan.runs[row], str(root), (*place, row))
        return
    parallel = joblib.Parallel(
        n_jobs=min(jobs, len(rows)),
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch="2*n_jobs",
    )
    calls = (
        joblib.delayed(_execute_row)(row, plan.runs[row], str(root), (*place, row)) for row in rows
    )
    made: Generator[tuple[int, RunDir]] | None = None
    try:
        with interrupts_held():
            made = parallel(calls)
        for one in made:  # noqa: UP028 - "yield from" would close it before the filter below
            yield one
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # joblib's count of what was cancelled
            if made is not None:
                made.close()


def _execute_row(
    row: int, spec: RunSpec, root: str, board: tuple[str, int, int]
) -> tuple[int, RunDir]:
    return row, execute(spec, root, board)
