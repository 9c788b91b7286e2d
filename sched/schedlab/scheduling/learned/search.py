"""Policy search: CMA-ES over the weights of a model, by what becomes of pods that it places.

All candidates of all generations meet the same pods in the same order (common random numbers), so
that they differ by their weights alone. What was asked and answered is kept; as the search is
deterministic, going on means answering again what is known, and no state of a library is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Evaluate = Callable[[Sequence[Vector]], Sequence[float]]


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes.

    Attributes
    ----------
    population : int
        Candidates a generation.
    generations : int
        At most so many.
    sigma : float
        First step, in units of the space.
    seed : int
        Of the candidates that are drawn, >= 1.
    validate_every : int
        The mean of the search is tried on the validation problems each so many generations.
    patience : int
        It ends when that has not become better so many times.
    """

    population: int = 14
    generations: int = 80
    sigma: float = 0.05
    seed: int = 1
    validate_every: int = 5
    patience: int = 4


@dataclass
class History:
    """What a search was told, generation by generation, and what it found.

    Attributes
    ----------
    scores : list of float arrays of shape [population]
        Of the candidates.
    validation : dict of int to float
        Score of the mean on the validation problems, by generation; 0 = the start.
    best : float64 array, optional
        The mean with the best of them.
    """

    scores: list[Vector] = field(default_factory=list)
    validation: dict[int, float] = field(default_factory=dict)
    best: Vector | None = None


def policy_search(
    start: Vector,
    options: SearchOptions,
    evaluate: Evaluate,
    validate: Callable[[Vector], float],
    history: History,
    told: Callable[[int, History], None],
) -> History:
    """Search from *start* and return what was found; *history* may hold generations that are done.

    Parameters
    ----------
    start : float64 array of shape [D]
        First mean.
    options : SearchOptions
        How.
    evaluate : callable
        Scores of candidates on the training problems, more is better.
    validate : callable
        Score of one vector on the validation problems.
    history : History
        Of the same search, to go on; is filled.
    told : callable
        Called after each new generation, to show and store.
    """
    known = dict(history.validation)
    history.validation.clear()  # it comes back generation by generation, or it would end too soon

    def tried(generation: int, mean: Vector) -> None:
        score = known.get(generation)
        history.validation[generation] = validate(mean) if score is None else score
        if history.validation[generation] >= max(history.validation.values()):
            history.best = mean.copy()

    strategy = cma.CMAEvolutionStrategy(start, options.sigma, _settings(options))
    tried(0, start)
    done = len(history.scores)
    for generation in range(1, options.generations + 1):
        candidates: list[Vector] = strategy.ask()
        if generation > done:
            history.scores.append(np.array(evaluate(candidates), np.float64))
        strategy.tell(candidates, (-history.scores[generation - 1]).tolist())
        if generation % options.validate_every == 0:
            tried(generation, np.array(strategy.mean))
        if generation > done:
            told(generation, history)
        if _exhausted(history.validation, options.patience):
            break
    return history


def _settings(options: SearchOptions) -> dict[str, Any]:
    return {
        "popsize": options.population,
        "seed": options.seed,
        "verbose": -9,
        "verb_log": 0,
        "maxiter": options.generations + 1,
    }


def _exhausted(validation: dict[int, float], patience: int) -> bool:
    """Return whether the last *patience* values are no better than the best before them."""
    scores = list(validation.values())
    if len(scores) <= patience:
        return False
    return max(scores[-patience:]) <= max(scores[:-patience])
