"""The parts of the solvers, each against a plain form or a hand-made case."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.cluster.devices import DeviceRequest
from schedlab.errors import InputError
from schedlab.scheduling.ilp.backend import Goal
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.cpsat import CpSat
from schedlab.scheduling.ilp.devices import assign_devices
from schedlab.scheduling.ilp.knapsack import fill
from schedlab.scheduling.ilp.linear import Expression, LinearModel
from schedlab.scheduling.ilp.mathopt import MathOpt
from schedlab.scheduling.ilp.objectives import Step, read_objective
from schedlab.scheduling.ilp.packing import Packing
from schedlab.scheduling.ilp.patterns import PatternBound
from schedlab.scheduling.ilp.relaxation import priced_bound, relaxed_bound
from schedlab.scheduling.ilp.result import Level, Limits

# --- a linear model --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["cp-sat", "highs"])
@pytest.mark.parametrize(
    ("value", "low", "high", "best"),
    [
        pytest.param(1, -100, 3, 7, id="the flag may stay off, so x + y reaches 7"),
        pytest.param(0, -100, 3, 3, id="off means the row holds, and on costs 100"),
        pytest.param(0, 6, 100, 7, id="a lower side that is kept anyway"),
    ],
)
def test_conditional_rows_mean_the_same_everywhere(solver, value, low, high, best):
    linear = LinearModel()
    x, y, flag = linear.column(0, 3), linear.column(0, 4), linear.flag()
    linear.row([x, y], [1, 1], low, high, when=(flag, value))
    backend = CpSat(linear) if solver == "cp-sat" else MathOpt(linear)
    # an on flag costs 100, so it is on only if it has to be
    goal = Goal(Expression([x, y, flag], [1, 1, -100]), True)
    answer = backend.solve(goal, {}, seconds=10, deterministic=True)
    assert answer.proven
    assert answer.solution is not None
    assert goal.expression.value(answer.solution) == best


def test_columns_of_a_row_are_merged():
    linear = LinearModel()
    x = linear.column(0, 5)
    linear.row([x, x, x], [1, 2, -3], high=4)
    assert list(linear.rows[0].columns) == []


# --- objectives --------------------------------------------------------------------------------


def test_tiers_are_levels():
    assert read_objective("placed,nodes", 2) == [
        Step("placed", 0),
        Step("placed", 1),
        Step("nodes"),
    ]
    assert [(s.name, s.tier) for s in read_objective("placed+disruption", 2)] == [
        ("placed", 0),
        ("disruption", 0),
        ("placed", 1),
        ("disruption", 1),
    ]


def test_weighted_sums():
    (step,) = read_objective([{"nodes": 2, "balance": 1}], 1)
    assert step.weights == (("nodes", 2), ("balance", 1))


@pytest.mark.parametrize(
    ("objective", "hint"),
    [
        pytest.param("palced", "placed", id="a typo"),
        pytest.param([{"placed": 1}], "one of", id="several levels can't be summed"),
        pytest.param([{"nodes": -1}], "weight >= 0", id="a negative weight"),
        pytest.param([], "at least one name", id="nothing"),
    ],
)
def test_wrong_objectives_are_named(objective, hint):
    with pytest.raises(InputError, match=hint):
        read_objective(objective, 1)


@pytest.mark.parametrize(
    ("maximize", "value", "bound", "optimal", "gap"),
    [
        pytest.param(True, 10, 10.99, True, 0.0, id="no whole number between"),
        pytest.param(True, 10, 12.0, False, 0.2, id="(12 - 10) / 10"),
        pytest.param(False, 10, 9.01, True, 0.0, id="from below"),
        pytest.param(False, 10, 5.0, False, 0.5, id="(10 - 5) / 10"),
        pytest.param(True, 0, 3.0, False, 3.0, id="of nothing: divided by 1"),
    ],
)
def test_gaps(maximize, value, bound, optimal, gap):
    level = Level("placed", None, maximize, value, bound, "test")
    assert level.optimal is optimal
    assert level.gap == pytest.approx(gap)


# --- filling one node -----------------------------------------------------------------------------

items = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(items=items, room=st.tuples(st.integers(0, 20), st.integers(0, 20)), share=st.floats(0, 1))
def test_the_best_filling_is_found(items, room, share):
    worth = np.array([w for w, _, _, _ in items], np.float64)
    requests = np.array([(a, b) for _, a, b, _ in items], np.int64)
    most = np.array([m for _, _, _, m in items], np.int64)
    # any weights of the resources give a bound
    size = share * requests[:, 0] + (1 - share) * requests[:, 1]
    space = share * room[0] + (1 - share) * room[1]
    order = np.argsort(-worth / np.maximum(size, 1e-12), kind="stable")
    best = np.zeros(len(items), np.int64)
    found, bound, _ = fill(
        worth[order],
        np.ascontiguousarray(requests[order]),
        np.array(room, np.int64),
        most[order],
        size[order],
        space,
        0.0,
        1_000_000,
        best,
    )
    fillings = [
        np.array(counts)
        for counts in product(*(range(m + 1) for m in most))
        if (np.array(counts) @ requests <= room).all()
    ]
    assert found == pytest.approx(max(float(worth @ counts) for counts in fillings))
    assert bound == pytest.approx(found)
    assert float(worth[order] @ best) == pytest.approx(found)


# --- bounds ---------------------------------------------------------------------------------------


@st.composite
def packings(draw):
    groups, kinds = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    number = st.integers(0, 4)
    requests = np.array([[draw(st.integers(1, 4)), draw(number)] for _ in range(groups)], np.int64)
    demand = np.array([draw(st.integers(1, 3)) for _ in range(groups)], np.int64)
    room = np.array([[draw(st.integers(1, 8)), draw(number)] for _ in range(kinds)], np.int64)
    fits = np.min(
        [
            np.where(requests[:, k] > 0, room[:, k, None] // np.maximum(requests[:, k], 1), 9)
            for k in range(2)
        ],
        axis=0,
    )
    most = np.minimum(fits, demand)
    count = np.array([draw(st.integers(1, 2)) for _ in range(kinds)], np.int64)
    return Packing(requests, demand, room, most, count, np.ones(groups), [])


def best_by_trying(packing):
    """Return the most pods that can be placed, node by node."""
    nodes = np.repeat(np.arange(len(packing.count)), packing.count).tolist()
    states = {tuple(packing.demand.tolist()): 0}
    for v in nodes:
        fillings = [
            counts
            for counts in product(*(range(m + 1) for m in packing.most[v].tolist()))
            if (np.array(counts) @ packing.requests <= packing.room[v]).all()
        ]
        after = {}
        for left, value in states.items():
            for counts in fillings:
                rest = tuple(a - b for a, b in zip(left, counts, strict=True))
                if min(rest) >= 0:
                    after[rest] = max(after.get(rest, 0), value + sum(counts))
        states = after
    return max(states.values())


@settings(max_examples=100, deadline=None)
@given(packing=packings())
def test_bounds_hold_and_come_in_order(packing):
    best = best_by_trying(packing)
    start = np.zeros((int(packing.count.sum()), len(packing.demand)), np.int64)
    kind = np.repeat(np.arange(len(packing.count)), packing.count)
    patterns = PatternBound(packing, start, kind).improve(0.0, TimeBudget(Limits(10.0)), 10.0)
    relaxed, pooled = relaxed_bound(packing), packing.pooled_bound()
    assert best <= patterns + 1e-6
    assert patterns <= relaxed + 1e-3
    assert relaxed <= pooled + 1e-3


@settings(max_examples=100, deadline=None)
@given(packing=packings(), data=st.data())
def test_any_prices_prove_a_bound(packing, data):
    price = st.floats(-0.5, 2)
    pods = np.array([data.draw(price) for _ in packing.demand])
    room = np.array([[data.draw(price) for _ in range(2)] for _ in packing.count])
    bound = priced_bound(packing, pods, room, np.zeros(0))
    assert best_by_trying(packing) <= bound + 1e-9


@pytest.mark.parametrize("solver", ["glop", "pdlp", "highs"])
def test_solvers_of_the_relaxation_agree(solver):
    packing = Packing(
        requests=np.array([[3, 1], [1, 2], [2, 2]], np.int64),
        demand=np.array([40, 40, 40], np.int64),
        room=np.array([[10, 8], [6, 12]], np.int64),
        most=np.array([[3, 4, 4], [2, 6, 3]], np.int64),
        count=np.array([5, 7], np.int64),
        worth=np.ones(3),
        floors=[(np.array([True, False, False]), 10)],
    )
    assert relaxed_bound(packing, solver) == pytest.approx(relaxed_bound(packing), rel=1e-3)


# --- GPUs -----------------------------------------------------------------------------------------


def whole(count):
    return DeviceRequest(count, 1000, ())


def share(milli):
    return DeviceRequest(1, milli, ())


@pytest.mark.parametrize(
    ("free", "asked", "served"),
    [
        pytest.param([1000, 1000], [whole(2)], True, id="two idle ones"),
        pytest.param([1000, 900], [whole(2)], False, id="one of them has been touched"),
        pytest.param([1000, 600], [share(600), whole(1)], True, id="the share spares the idle GPU"),
        # 700 + 300 and 600 + 400: best fit, largest first, gets there
        pytest.param([1000, 1000], [share(s) for s in (300, 400, 600, 700)], True, id="pairs"),
        # 500 beside 500 leaves 1000 for 400 + 300 + 300
        pytest.param(
            [1000, 1000], [share(s) for s in (500, 400, 300, 500, 300)], True, id="a way back"
        ),
        pytest.param([1000, 1000], [share(600)] * 3, False, id="a pool of 1800 would have done"),
        pytest.param(
            [1000] * 8, [share(334 + s) for s in range(17)], False, id="a search that has to end"
        ),
        pytest.param([], [share(1)], False, id="no GPU"),
        pytest.param([5], [], True, id="nobody asks"),
    ],
)
def test_gpus_are_assigned(free, asked, served):
    found = assign_devices(free, asked)
    assert (found is not None) is served
    if found is not None:
        left = list(free)
        for request, devices in zip(asked, found, strict=True):
            assert len(devices) == request.count
            for device in devices:
                left[device] -= request.milli
        assert min(left, default=0) >= 0
