"""Learning to rank nodes from choices that are known to be good.

A choice is one pod and some nodes that could take it, each with a gain: what came of taking it. Two
sources make choices: look-ahead (`look_ahead`: try each of a few nodes, let a model place the pods
that follow, and see what that yields) and a teacher's placement (`follow`: an optimal one, say;
the teacher's node gains 1 and all others 0). From pairs of nodes of one choice a logistic
regression learns the weights of a linear model (`fit_ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.learned import kernels
from schedlab.scheduling.learned.features import KINDS, NAMES, Columns
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.problem import Problem, copied
from schedlab.scheduling.learned.replay import Placed, replay_on, take_from
from schedlab.scheduling.learned.space import features_at

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Choice:
    """One pod and nodes that could take it.

    Attributes
    ----------
    kind : int
        Index into `features.KINDS`.
    features : float64 array of shape [K, F]
        Of the nodes.
    gain : float64 array of shape [K]
        What came of taking each; only differences matter.
    """

    kind: int
    features: Floats
    gain: Floats


@dataclass(frozen=True)
class LookAhead:
    """How far to look ahead.

    Attributes
    ----------
    choices : int
        Choices a problem.
    nodes : int
        Nodes tried at each: the model's best ones, and as many drawn ones.
    pods : int
        Pods that follow; all that are left where fewer.
    """

    choices: int = 100
    nodes: int = 6
    pods: int = 400


def look_ahead(
    problem: Problem,
    model: Model,
    objective: Callable[[Problem, Placed], float],
    options: LookAhead,
    draws: Draws,
) -> Iterator[Choice]:
    """Yield choices whose gains are what the pods that follow make of them under *model*."""
    pods = len(problem.ask)
    points = draws.stream("points").generator().permutation(max(1, pods - 1))[: options.choices]
    for point in np.sort(points).tolist():
        columns = problem.fresh_columns()
        replay_on(problem.head(point), model, columns)
        ask = int(problem.ask[point])
        features, rows, values = features_at(problem, columns, ask, model)
        tried = _candidates(features, values, options.nodes, draws.stream(f"nodes/{point}"))
        if len(tried) < 2:
            continue
        gains = [
            _outcome(problem, model, objective, columns, (point, int(rows[k])), options.pods)
            for k in tried.tolist()
        ]
        kind = kernels.kind_of(*problem.asks[ask, 2:].tolist())
        yield Choice(kind, features[:, tried].T.copy(), np.array(gains))


def _candidates(
    features: Floats, values: NDArray[np.int64], nodes: int, draws: Draws
) -> NDArray[np.int64]:
    """Return the nodes to try: half the best ones and half drawn ones, no two alike."""
    order = np.argsort(-values, kind="stable")
    drawn = draws.generator().permutation(len(values))
    _, first = np.unique(features[:, order].round(9), axis=1, return_index=True)
    unlike = set(order[np.sort(first)].tolist())
    best = [k for k in order.tolist() if k in unlike][: (nodes + 1) // 2]
    others = [k for k in drawn.tolist() if k in unlike and k not in best]
    return np.array([*best, *others[: nodes - len(best)]], np.int64)


def _outcome(
    problem: Problem,
    model: Model,
    objective: Callable[[Problem, Placed], float],
    columns: Columns,
    choice: tuple[int, int],
    pods: int,
) -> float:
    """Return the objective of the pods that follow when pod and node of *choice* are forced."""
    point, row = choice
    after = copied(columns)
    put_on(problem, after, int(problem.ask[point]), row, model)
    rest = replace(
        problem,
        ask=problem.ask[point + 1 : point + 1 + pods],
        arrival_us=problem.arrival_us[point + 1 : point + 1 + pods],
        duration_us=problem.duration_us[point + 1 : point + 1 + pods],
    )
    return objective(rest, replay_on(rest, model, after))


def put_on(problem: Problem, columns: Columns, ask: int, row: int, model: Model) -> None:
    """Take what a request asks of a node; the GPU of a share is the one that *model* values."""
    before = np.zeros((len(columns[0]), kernels.POTENTIALS))
    rows = np.array([row], np.int64)
    kernels.refresh_potentials(rows, columns, *problem.known[:2], before)
    values, devices = np.zeros(1, np.int64), np.zeros(1, np.int64)
    kernels.score_rows(
        rows,
        problem.asks[ask],
        problem.accepts[ask],
        columns,
        before,
        *problem.known,
        model.weights,
        values,
        devices,
    )
    if values[0] == kernels.NOT_FEASIBLE:
        raise InputError("row", found=row, expected="a node that has room for the pod")
    take_from(row, int(devices[0]), problem.asks[ask], 1, columns, 0)


def follow(
    problem: Problem, node: NDArray[np.int32], model: Model, every: int, others: int, draws: Draws
) -> Iterator[Choice]:
    """Yield choices of a teacher that puts each pod on *node* (-1 = nowhere), the pods in order.

    Parameters
    ----------
    problem : Problem
        The pods; they stay.
    node : int32 array of shape [P]
        The teacher's placement.
    model : Model
        Says which GPU of a node a share gets.
    every : int
        Only each so many-th placement makes a choice.
    others : int
        Drawn nodes that the teacher's is compared to.
    draws : Draws
        For them.
    """
    columns = problem.fresh_columns()
    placed = np.flatnonzero(node >= 0)
    for number, pod in enumerate(placed.tolist()):
        ask, row = int(problem.ask[pod]), int(node[pod])
        if not kernels.feasible(row, problem.asks[ask], problem.accepts[ask], columns):
            continue  # the teacher counts GPUs as a pool, of which two halves make a whole
        if number % every == 0:
            features, rows, _ = features_at(problem, columns, ask, model)
            drawn = draws.generator(pod).permutation(np.flatnonzero(rows != row))[:others]
            chosen = np.flatnonzero(rows == row)
            if len(drawn) and len(chosen):
                kept = np.concatenate([chosen, drawn])
                gain = np.zeros(len(kept))
                gain[0] = 1.0
                kind = kernels.kind_of(*problem.asks[ask, 2:].tolist())
                yield Choice(kind, features[:, kept].T.copy(), gain)
        put_on(problem, columns, ask, row, model)


def fit_ranking(
    choices: Sequence[Choice],
    scale: Floats,
    *,
    by_kind: bool,
    strength: float = 1.0,
    levels: float = 1e6,
) -> Model:
    """Return the linear model that best tells the better of two nodes of one choice.

    Parameters
    ----------
    choices : sequence of Choice
        Examples.
    scale : float64 array of shape [F]
        Units of the features; those of 0 get no weight.
    by_kind : bool
        Kinds of pods get weights of their own beside the common ones.
    strength : float
        Inverse of how strongly weights are pulled to 0.
    levels : float
        Resolution of the model's values.

    Raises
    ------
    InputError
        No choice has nodes of different gain.
    """
    used = np.flatnonzero(scale)
    rows: list[Floats] = []
    weights: list[float] = []
    for choice in choices:
        better, worse = np.nonzero(choice.gain[:, None] > choice.gain[None, :])
        gap = choice.gain[better] - choice.gain[worse]
        unlike = (choice.features[better] - choice.features[worse])[:, used] / scale[used]
        rows += list(_by_kind(unlike, choice.kind) if by_kind else unlike)
        weights += gap.tolist()
    if not rows:
        raise InputError("choices", found="<no two nodes of different gain>", expected="some")
    x = np.concatenate([np.array(rows), -np.array(rows)])
    y = np.repeat([1, 0], len(rows))
    weight = np.tile(np.array(weights) / np.mean(weights), 2)
    regression = LogisticRegression(C=strength, fit_intercept=False, max_iter=2000)
    found = regression.fit(x, y, sample_weight=weight).coef_[0]
    parts = found.reshape(-1, len(used)) / scale[used]
    linear = np.zeros((len(KINDS), len(NAMES)))
    linear[:, used] = parts[0]
    if by_kind:
        linear[:, used] += parts[1:]
    return Model.linear_of(linear, levels)


def _by_kind(rows: Floats, kind: int) -> Floats:
    """Return the rows with a block for all kinds, and one for each kind, of which one is filled."""
    size = rows.shape[1]
    out = np.zeros((len(rows), size * (1 + len(KINDS))))
    out[:, :size] = rows
    out[:, size * (1 + kind) : size * (2 + kind)] = rows
    return out
