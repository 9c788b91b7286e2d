"""Making a run again up to one decision, to see what every plugin said of every node.

Runs record what was chosen, not the verdicts and scores behind it: nodes times plugins times
attempts would dwarf everything else. A run is a function of its configuration, so it is made again
in memory until the pod is decided on, and evaluated there; the choice has to be the recorded one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from schedlab.controlplane.simulation import Simulation
from schedlab.errors import InputError
from schedlab.experiment.build import (
    SCHEDULER_NAME,
    RunSpec,
    build_inputs,
    build_scheduler,
    scenario_of,
)
from schedlab.experiment.decide import Decision, evaluated
from schedlab.experiment.explain import attempts_of, find_pod
from schedlab.record.rundir import RunDir
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Verdict
from schedlab.scheduling.framework.evaluation import evaluate
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.view import ClusterView

Wrap = Callable[[Scheduler], Scheduler]
Remake = Callable[[Wrap], Simulation]
"""Returns a run ready to start, its scheduler wrapped."""


class Watched:
    """A scheduler, and what it was up against when it decided on one pod.

    Parameters
    ----------
    inner : Scheduler
        Who decides.
    pod : str
        ``namespace/name``.
    attempt : int
        Which attempt to schedule it.

    Attributes
    ----------
    decision : Decision or None
        The decision, once it is made.
    """

    def __init__(self, inner: Scheduler, pod: str, attempt: int) -> None:
        self._inner = inner
        self._pod = pod
        self._attempt = attempt
        self.decision: Decision | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # its trigger, profile and whatever hooks it has

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Let the scheduler decide, and look at the nodes as they were for the pod's turn."""
        placement = self._inner.schedule(pods, view, rng)
        for i, pod in enumerate(pods):
            if pod.name == self._pod and pod.attempt == self._attempt:
                with view.fork() as trial:
                    for k in range(i):
                        if placement.verdict[k] == Verdict.PLACED:
                            trial.assume(pods[k], placement.node[k])
                    self.decision = self._look(pod, view, placement, i)
        return placement

    def _look(self, pod: Pod, view: ClusterView, placement: Placement, i: int) -> Decision:
        found = getattr(self._inner, "profile", None)
        profile = found if isinstance(found, Profile) else replace(Profile.default(), scores=())
        cycle = Cycle(view.state, pod.pod_class, pod)
        evaluation = evaluate(profile, cycle)
        names = view.nodes.names
        placed = placement.verdict[i] == Verdict.PLACED
        line = {
            "pod": pod.name,
            "index": pod.row,
            **evaluated(profile, cycle, evaluation),
            "chosen": names[placement.node[i]] if placed else None,
        }
        return Decision(line, profile, tuple(names[row] for row in evaluation.rows.tolist()))


def remake_spec(spec: RunSpec, wrap: Wrap) -> Simulation:
    """Return the run of an experiment, ready to start."""
    scenario = scenario_of(spec)
    experiment = scenario.experiment
    cluster, workload = build_inputs(spec)
    scheduler = build_scheduler(experiment.schedulers[0], scenario.bases[""])
    return Simulation(
        cluster,
        workload,
        {SCHEDULER_NAME: wrap(scheduler)},
        config=experiment.control_plane,
        seed=spec.key.seed,
        until_us=experiment.until,
        sample_period_us=experiment.sample_period,
    )


def remake_run(run: RunDir, base: Path) -> Remake:
    """Return what makes a run again from the configuration beside its tables.

    Parameters
    ----------
    run : RunDir
        A run of an experiment.
    base : Path
        Directory to which the paths in its configuration are relative.
    """
    config = run.config()
    if "cluster" not in config:
        raise InputError(
            "run",
            found="<data that was given in memory>",
            expected="the Results that simulate returned, or a run of an experiment",
        )
    bases = dict.fromkeys(("", "cluster", "workload"), str(base))
    spec = RunSpec(run.manifest["experiment"], run.key, config, bases, {}, "")
    return lambda wrap: remake_spec(spec, wrap)


def decision_in(run: RunDir, remake: Remake, name: str, attempt: int | None = None) -> Decision:
    """Make a run again and return the decision on one pod.

    Parameters
    ----------
    run : RunDir
        What was recorded.
    remake : callable
        What makes the run again.
    name : str
        ``namespace/name`` of the pod, its name, or how one of them starts.
    attempt : int, optional
        Which attempt to schedule it; the last one by default.

    Raises
    ------
    InputError
        There is no such pod or attempt, or the run can't be made again as it was.
    """
    pod = find_pod(run.table("pods"), name)
    attempts = attempts_of(run, pod)
    made = [int(number) for number in attempts["attempt"]]
    if not made or (attempt is not None and attempt not in made):
        expected = f"one of 1 to {max(made)}" if made else "a pod that some scheduler tried"
        raise InputError("attempt", found=attempt or "<none>", expected=expected)
    wanted = made[-1] if attempt is None else attempt
    watched: list[Watched] = []

    def wrap(inner: Scheduler) -> Scheduler:
        watched.append(Watched(inner, str(pod["pod"]), wanted))
        return watched[0]

    simulation = remake(wrap)
    while watched[0].decision is None and simulation.step():
        pass
    decision = watched[0].decision
    recorded = attempts[attempts["attempt"] == wanted].iloc[-1]
    node = str(recorded["node"]) if recorded["verdict"] == "placed" else None
    chosen = None if decision is None else decision.line["chosen"]
    if decision is None or (node is not None and node != chosen):
        raise InputError(
            "run",
            found=f"<{pod['pod']} on {chosen or 'no node'} this time>",
            expected=f"it on {node}: the code or the data has changed since the run",
        )
    return decision
