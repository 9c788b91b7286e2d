"""Learning to rank: choices from look-ahead and from a teacher, and the weights they give."""

import numpy as np
import pytest

from schedlab.errors import InputError
from schedlab.experiment.problems import problem_of
from schedlab.rng import Draws
from schedlab.scheduling.learned.features import NAMES
from schedlab.scheduling.learned.imitation import (
    Choice,
    LookAhead,
    fit_ranking,
    follow,
    look_ahead,
    put_on,
)
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.objectives import (
    gpu_allocation,
    gpu_allocation_from_90,
    gpu_idle_from_90,
    mean_wait,
    pods_placed,
)
from schedlab.scheduling.learned.replay import replay
from schedlab.scheduling.learned.space import feature_scales
from schedlab.testing.gpu_pods import made_up

TIGHT = Model.of({"cpu_share_left": -1.0, "device_left": -1.0, "gpu_square": 0.5})


@pytest.fixture(scope="module")
def problem():
    return problem_of(*made_up(2, 80))


def test_weights_that_explain_choices_are_found():
    draw = np.random.Generator(np.random.Philox(1))
    truth = np.zeros(len(NAMES))
    truth[[3, 7, 12]] = 2.0, -1.0, 0.5
    choices = []
    for _ in range(200):
        features = draw.normal(size=(5, len(NAMES)))
        choices.append(Choice(int(draw.integers(4)), features, features @ truth))
    scale = np.ones(len(NAMES))
    model = fit_ranking(choices, scale, by_kind=False, strength=10.0)
    found = model.linear[0] / np.linalg.norm(model.linear[0])
    assert found @ truth / np.linalg.norm(truth) > 0.98
    assert (model.linear == model.linear[0]).all()


def test_kinds_of_pods_may_want_different_things():
    draw = np.random.Generator(np.random.Philox(2))
    choices = []
    for i in range(200):
        features = draw.normal(size=(4, len(NAMES)))
        sign = 1.0 if i % 2 else -1.0
        choices.append(Choice(1 if i % 2 else 2, features, sign * features[:, 0]))
    model = fit_ranking(choices, np.ones(len(NAMES)), by_kind=True)
    assert model.linear[1, 0] > 0 > model.linear[2, 0]


def test_choices_without_a_better_node_teach_nothing():
    choice = Choice(0, np.ones((3, len(NAMES))), np.zeros(3))
    with pytest.raises(InputError, match="no two nodes"):
        fit_ranking([choice], np.ones(len(NAMES)), by_kind=False)


def test_looking_ahead_compares_nodes_by_what_follows(problem):
    options = LookAhead(choices=12, nodes=3, pods=30)
    found = list(look_ahead(problem, TIGHT, gpu_allocation, options, Draws(0)))
    assert found
    for choice in found:
        assert 2 <= len(choice.gain) <= 3
        assert choice.features.shape == (len(choice.gain), len(NAMES))
        assert np.isfinite(choice.features).all()
        rows = {tuple(row) for row in choice.features.round(9).tolist()}
        assert len(rows) == len(choice.gain)  # no two nodes alike
    again = list(look_ahead(problem, TIGHT, gpu_allocation, options, Draws(0)))
    assert [c.gain.tolist() for c in again] == [c.gain.tolist() for c in found]


def test_a_teacher_is_followed(problem):
    placed = replay(problem, TIGHT)
    choices = list(follow(problem, placed.node, TIGHT, 1, 3, Draws(0)))
    assert all(choice.gain.tolist()[0] == 1.0 for choice in choices)
    assert all(not choice.gain[1:].any() for choice in choices)
    scale = feature_scales([problem], TIGHT)
    learned = fit_ranking(choices, scale, by_kind=True, strength=1.0)
    agreed = np.mean(replay(problem, learned).node == placed.node)
    stranger = np.mean(replay(problem, Model.of({"cpu_share_left": 1.0})).node == placed.node)
    assert agreed > stranger


def test_a_teacher_that_overfills_a_node_is_refused(problem):
    columns = problem.fresh_columns()
    biggest = int(np.argmax(problem.asks[:, 3]))  # two of the two GPUs of the first node
    put_on(problem, columns, biggest, 0, TIGHT)
    with pytest.raises(InputError, match="room for the pod"):
        put_on(problem, columns, biggest, 0, TIGHT)


def test_objectives_by_hand(problem):
    placed = replay(problem, TIGHT)
    milli = problem.gpu_milli
    arrived = np.cumsum(milli) / 14_000 * 100  # 14 GPUs
    used = np.cumsum(np.where(placed.node >= 0, milli, 0)) / 14_000 * 100
    last = arrived >= arrived[-1] - 0.5
    assert gpu_allocation(problem, placed) == pytest.approx(used[last].mean())
    late = arrived >= 90
    weighted = (used[late] * milli[late]).sum() / milli[late].sum()
    assert gpu_allocation_from_90(problem, placed) == pytest.approx(weighted)
    assert gpu_idle_from_90(problem, placed) == pytest.approx(weighted - 100)
    assert pods_placed(problem, placed) == pytest.approx(100 * (placed.node >= 0).mean())
    end = problem.arrival_us[-1]
    unplaced = (end - problem.arrival_us[placed.node < 0]).sum() / 1e6 / len(milli)
    assert mean_wait(problem, placed) == pytest.approx(-unplaced)
