"""Training a model: from a training file to weights with their card and a learning curve.

Everything is seeded, and all candidates meet the same pods, so one file gives one model. What was
evaluated is written after each generation; an interrupted training goes on from there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import ClassTable
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.errors import InputError
from schedlab.experiment.build import build_scenario, file_digest, input_files
from schedlab.experiment.config import Source
from schedlab.experiment.problems import problem_of
from schedlab.experiment.training_config import ProblemSet, Training, scenarios_of
from schedlab.record.provenance import commit, versions
from schedlab.record.wallclock import elapsed_s
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.learned.imitation import (
    Choice,
    LookAhead,
    fit_ranking,
    follow,
    look_ahead,
)
from schedlab.scheduling.learned.model import Model, load_model
from schedlab.scheduling.learned.objectives import OBJECTIVES
from schedlab.scheduling.learned.problem import Problem
from schedlab.scheduling.learned.replay import replay
from schedlab.scheduling.learned.search import History, SearchOptions, policy_search
from schedlab.scheduling.learned.space import Space, feature_scales
from schedlab.scheduling.registry import load_scheduler
from schedlab.scheduling.view import ClusterView
from schedlab.workload.stream import Cluster, Workload

Vector = NDArray[np.float64]
SOLVED_PODS = 2_000
"""A solver is asked about so many pods of a problem at most."""


@dataclass(frozen=True, eq=False)
class Task:
    """A problem and what is made large there.

    Attributes
    ----------
    name : str
        Of the set, the scenario and the seed.
    problem : Problem
        The pods.
    objective : str
        One of `learned.objectives.OBJECTIVES`.
    inputs : tuple of (Cluster, Workload)
        What the problem was made from.
    weight : float
        How much it counts beside the others.
    base : float
        Objective of the model that training starts with.
    """

    name: str
    problem: Problem
    objective: str
    inputs: tuple[Cluster, Workload]
    weight: float = 1.0
    base: float = 0.0

    def value(self, model: Model) -> float:
        """Return the objective of a model."""
        return OBJECTIVES[self.objective](self.problem, replay(self.problem, model))

    def gain(self, model: Model) -> float:
        """Return by how many percent a model is better than the one training starts with."""
        return 100.0 * (self.value(model) - self.base) / max(abs(self.base), 1e-9)


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes
    ----------
    model : Model
        With its card.
    path : Path
        Where it lies.
    curve : list of dict
        One row a generation or round.
    """

    model: Model
    path: Path
    curve: list[dict[str, float | None]]


Told = Callable[[dict[str, float | None]], None]


def train(
    training: Training,
    source: Source,
    out: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    command: str = "",
    told: Told = lambda row: None,
) -> Trained:
    """Train a model and write it, with its curve, into a directory.

    Parameters
    ----------
    training : Training
        What to do.
    source : Source
        Where it was read from.
    out : Path
        The directory.
    jobs : int
        Candidates that are tried at a time; the result doesn't depend on it.
    resume : bool
        Go on with what is there.
    command : str
        How it was called, for the card.
    told : callable
        Called with each new row of the curve.

    Raises
    ------
    InputError
        Files that can't be used, or nothing of this training to resume.
    """
    cost = _Cost()
    setup = _prepared(training, source, jobs)
    if training.method == "policy-search":
        store = _Store(out / "history.json", _identity(training, source), cost)
        model, curve = _search(setup, store, resume, told)
    else:
        model, curve = _imitate(setup, told)
    card = _card(setup, model, command, cost)
    model = replace(model, card=card)
    model.save(out / training.name)
    _write_curve(out / "curve.csv", curve)
    return Trained(model, out / f"{training.name}.npz", curve)


@dataclass(frozen=True, eq=False)
class _Setup:
    training: Training
    start: Model
    scale: Vector
    tasks: list[Task]
    checks: list[Task]
    jobs: int

    def gains(self, models: Sequence[Model], tasks: list[Task]) -> Vector:
        """Return the weighted mean gain of each model over the tasks."""
        work = [(model, task) for model in models for task in tasks]
        if self.jobs == 1:
            found = [task.gain(model) for model, task in work]
        else:  # the replay lets go of the interpreter's lock
            parallel = joblib.Parallel(n_jobs=self.jobs, prefer="threads")
            found = parallel(joblib.delayed(task.gain)(model) for model, task in work)
        gains = np.array(found, np.float64).reshape(len(models), -1)
        means: Vector = np.average(gains, axis=1, weights=[task.weight for task in tasks])
        return means


class _Cost:
    """The real time that training took so far; what was done before a resumption counts."""

    def __init__(self) -> None:
        self._start = elapsed_s()

    def add(self, seconds: float) -> None:
        """Count what an interrupted training took."""
        self._start -= seconds

    @property
    def seconds(self) -> float:
        """Elapsed real time."""
        return round(elapsed_s() - self._start, 1)


@dataclass(frozen=True)
class _Store:
    """The file that holds what a search was told."""

    path: Path
    identity: str
    cost: _Cost

    def read(self) -> History:
        """Return what is there; its cost counts from now on."""
        try:
            found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            expected = "the history of a search"
            raise InputError("--resume", found=str(self.path), expected=expected) from None
        if found.get("id") != self.identity:
            raise InputError(
                "--resume",
                found=f"{self.path}, of another training",
                expected="the history of a search with this file, these inputs and this version",
            )
        self.cost.add(found["seconds"])
        scores = [np.array(row, np.float64) for row in found["scores"]]
        return History(scores, {int(key): value for key, value in found["validation"].items()})

    def write(self, history: History) -> None:
        """Write atomically what was found."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "id": self.identity,
            "seconds": self.cost.seconds,
            "scores": [row.tolist() for row in history.scores],
            "validation": history.validation,
        }
        partial = self.path.with_name("history.json.part")
        partial.write_text(json.dumps(content), encoding="utf-8")
        os.replace(partial, self.path)


def _prepared(training: Training, source: Source, jobs: int) -> _Setup:
    start = _start(training, source)
    tasks = _tasks(training.training, training, source, start)
    checks = _tasks(training.validation, training, source, start)
    scale = feature_scales([task.problem for task in tasks[:4]], start)
    first = {task.name.partition("/")[0]: task.problem for task in reversed(tasks)}
    others = feature_scales(list(first.values()), start)  # what the first few problems don't have
    scale = np.where(scale > 0, scale, others)
    return _Setup(training, start, scale, tasks, checks, jobs)


def _start(training: Training, source: Source) -> Model:
    spec = training.model
    if spec.start_from is None:
        return Model.of(spec.start, spec.levels)
    if spec.start:
        start = dict(spec.start)
        raise InputError("model.start", found=start, expected="nothing beside start_from")
    return load_model(source.base / spec.start_from)


def _tasks(
    entries: Sequence[ProblemSet], training: Training, source: Source, start: Model
) -> list[Task]:
    found: list[Task] = []
    for entry in entries:
        objective = entry.objective or training.objective
        made = [
            Task(f"{entry.name}/{scenario.name}/{seed}", problem_of(*inputs), objective, inputs)
            for scenario in scenarios_of(entry, training, source)
            for seed in scenario.experiment.seeds
            for inputs in [build_scenario(scenario, seed)]
        ]
        weight = entry.weight / len(made)
        found += [replace(task, weight=weight, base=task.value(start)) for task in made]
    return found


def _identity(training: Training, source: Source) -> str:
    """Return a hash of all that the result depends on."""
    files: dict[str, str] = {}
    for entry in (*training.training, *training.validation):
        for scenario in scenarios_of(entry, training, source):
            for name, path in input_files(scenario).items():
                files[name] = file_digest(path)
    plain = training.model_dump(mode="json", by_alias=True, exclude={"data", "description"})
    text = json.dumps([plain, files, versions()["schedlab"]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _search(
    setup: _Setup, store: _Store, resume: bool, told: Told
) -> tuple[Model, list[dict[str, float | None]]]:
    spec = setup.training.model
    space = Space(setup.scale, spec.by_kind, spec.hidden, setup.start.levels)
    history = store.read() if resume else History()
    curve: list[dict[str, float | None]] = []

    def note(generation: int, so_far: History) -> None:
        store.write(so_far)
        told(_row(generation, so_far))

    found = policy_search(
        space.encode(setup.start, Draws(setup.training.search.seed)),
        SearchOptions(**setup.training.search.model_dump()),
        lambda vectors: setup.gains([space.decode(v) for v in vectors], setup.tasks).tolist(),
        lambda vector: float(setup.gains([space.decode(vector)], setup.checks)[0]),
        history,
        note,
    )
    assert found.best is not None
    curve = [_row(generation + 1, found) for generation in range(len(found.scores))]
    return space.decode(found.best), curve


def _row(generation: int, history: History) -> dict[str, float | None]:
    scores = history.scores[generation - 1]
    return {
        "generation": generation,
        "best": float(scores.max()),
        "mean": float(scores.mean()),
        "validation": history.validation.get(generation),
    }


def _imitate(setup: _Setup, told: Told) -> tuple[Model, list[dict[str, float | None]]]:
    spec = setup.training.imitation
    best, best_gain = setup.start, 0.0
    curve: list[dict[str, float | None]] = []
    choices: list[Choice] = []
    for number in range(1, spec.rounds + 1):
        choices += _choices(setup, best, number)
        fitted = [
            fit_ranking(
                choices,
                setup.scale,
                by_kind=setup.training.model.by_kind,
                strength=strength,
                levels=levels,
            )
            for strength in spec.strength
            for levels in (setup.start.levels, 100 * setup.start.levels)
        ]
        gains = setup.gains(fitted, setup.checks)
        at = int(np.argmax(gains))
        curve.append(
            {
                "generation": number,
                "best": float(setup.gains([fitted[at]], setup.tasks)[0]),
                "mean": float(setup.gains(fitted, setup.tasks).mean()),
                "validation": float(gains[at]),
            }
        )
        told(curve[-1])
        if gains[at] > best_gain or number == 1:
            best, best_gain = fitted[at], float(gains[at])
    return best, curve


def _choices(setup: _Setup, model: Model, number: int) -> list[Choice]:
    spec, found = setup.training.imitation, []
    for task in setup.tasks:
        draws = Draws(spec.seed, f"choices/{number}/{task.name}")
        if setup.training.method == "look-ahead":
            options = LookAhead(spec.choices, spec.nodes, spec.pods)
            objective = OBJECTIVES[task.objective]
            found += list(look_ahead(task.problem, model, objective, options, draws))
        elif number == 1:  # a solver's answer doesn't depend on the model
            node = solved(task.inputs[0], task.inputs[1], spec.seconds)
            placed = max(1, int((node >= 0).sum()))
            every = max(1, placed // spec.choices)
            problem = task.problem.head(len(node))
            found += list(follow(problem, node, model, every, spec.nodes - 1, draws))
    return found


def all_at_once(cluster: Cluster, workload: Workload) -> tuple[ClusterState, list[Pod]]:
    """Return an empty cluster, and the bare pods of a workload as if they all waited."""
    state = ClusterState(ClassTable(ResourceNames()))
    for node in cluster.nodes:
        state.nodes.add(node)
    state.mix = workload.mix
    classes = [
        state.classes.intern("default", template.spec, 0, annotations=template.metadata.annotations)
        for template in workload.templates
    ]
    arrivals = workload.pods
    pods = [
        Pod(row, classes[template], arrivals.name[row], int(arrivals.key[row]), 1, 0, -1)
        for row, template in enumerate(arrivals.template.tolist())
    ]
    return state, pods


def solved(cluster: Cluster, workload: Workload, seconds: float) -> NDArray[np.int32]:
    """Return where the scheduler `ilp` puts the pods when they come all at once.

    Parameters
    ----------
    cluster : Cluster
        The nodes.
    workload : Workload
        Bare pods; the first `SOLVED_PODS` are asked about.
    seconds : float
        Limit of the solver.

    Returns
    -------
    int32 array of shape [P]
        Row of each pod's node, -1 = it isn't placed.
    """
    state, pods = all_at_once(cluster, workload)
    pods = pods[:SOLVED_PODS]
    scheduler = load_scheduler("ilp", {"time_limit": f"{seconds}s"})
    placement = scheduler.schedule(PodBatch(pods), ClusterView(state), Draws(0))
    return np.array(placement.node, np.int32)


def _write_curve(path: Path, curve: list[dict[str, float | None]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["generation", "best", "mean", "validation"])
        writer.writeheader()
        writer.writerows(curve)


def _card(setup: _Setup, model: Model, command: str, cost: _Cost) -> dict[str, Any]:
    training = setup.training

    def metrics(tasks: list[Task]) -> dict[str, dict[str, float | str]]:
        return {
            task.name: {
                "objective": task.objective,
                "start": round(task.base, 4),
                "model": round(task.value(model), 4),
            }
            for task in tasks
        }

    return {
        "name": training.name,
        "description": training.description,
        "method": training.method,
        "command": command,
        "commit": commit(),
        "versions": versions(),
        "seconds": cost.seconds,
        "metrics": {"training": metrics(setup.tasks), "validation": metrics(setup.checks)},
        "training": training.model_dump(mode="json", by_alias=True, exclude={"data"}),
    }
