"""Policy search finds what is known to be best, repeats itself, and goes on where it stopped."""

import numpy as np
import pytest

from schedlab.rng import Draws
from schedlab.scheduling.learned.features import NAMES
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.search import History, SearchOptions, policy_search
from schedlab.scheduling.learned.space import Space

TARGET = np.array([1.0, -2.0, 0.5])
OPTIONS = SearchOptions(population=8, generations=40, sigma=0.5, validate_every=4, patience=5)


def score(vector):
    return -float(np.square(vector - TARGET).sum())


def search(history=None, options=OPTIONS, told=lambda generation, history: None, calls=None):
    def evaluate(candidates):
        if calls is not None:
            calls.append(len(candidates))
        return [score(candidate) for candidate in candidates]

    return policy_search(np.zeros(3), options, evaluate, score, history or History(), told)


def test_it_finds_the_best():
    found = search()
    assert found.best == pytest.approx(TARGET, abs=0.05)
    assert len(found.scores) <= 40


def test_it_repeats_itself():
    one, two = search(), search()
    assert np.array_equal(one.best, two.best)
    assert np.array_equal(one.scores, two.scores)


def test_it_goes_on_where_it_stopped_without_trying_again():
    whole = search()
    part = search(options=SearchOptions(**{**OPTIONS.__dict__, "generations": 10}))
    calls = []
    rest = search(History(part.scores, part.validation), calls=calls)
    assert len(calls) == len(whole.scores) - 10
    assert np.array_equal(rest.best, whole.best)


def test_it_ends_when_nothing_gets_better():
    options = SearchOptions(**{**OPTIONS.__dict__, "generations": 500, "patience": 3})
    flat = policy_search(
        np.zeros(3), options, lambda c: [score(x) for x in c], lambda x: 1.0, History(),
        lambda generation, history: None,
    )  # fmt: skip
    assert len(flat.scores) == 12  # tried at 0, 4, 8, 12: the last three are no better than the 1st


def test_the_start_is_kept_where_it_is_the_best():
    found = policy_search(
        TARGET, OPTIONS, lambda c: [score(x) for x in c], lambda x: -abs(x - TARGET).max(),
        History(), lambda generation, history: None,
    )  # fmt: skip
    assert np.array_equal(found.best, TARGET)


@pytest.mark.parametrize(("by_kind", "hidden"), [(False, 0), (True, 0), (False, 2), (True, 3)])
def test_vectors_and_models(by_kind, hidden):
    scale = np.arange(len(NAMES)) * 0.25
    space = Space(scale, by_kind, hidden, 25.0)
    model = Model.of({"usable": 2.0, "gpu_short": -1.0}, 100.0, {"share": {"room": 1.0}})
    vector = space.encode(model, Draws(1))
    assert len(vector) == space.size
    found = space.decode(vector)
    assert found.levels == pytest.approx(100.0)  # 25 * 4^1
    assert found.hidden.shape == (hidden, len(NAMES))
    assert not found.top.any()  # hidden units have no say at the start
    if by_kind:
        assert found.linear == pytest.approx(model.linear)
    else:
        assert found.linear[0] == pytest.approx(model.linear[0])


def test_a_feature_that_never_varies_is_not_searched():
    scale = np.ones(len(NAMES))
    scale[NAMES.index("room")] = 0.0
    space = Space(scale, False, 0, 1.0)
    assert space.size == len(NAMES)  # one for the levels, one less for room
    assert not space.decode(np.ones(space.size)).linear[:, NAMES.index("room")].any()
