"""Offered load by hand, and the search for a factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.errors import InputError
from schedlab.units import HOUR
from schedlab.workload import Cluster, Workload, offered_load
from schedlab.workload.load import Demand, free_times, shares, solve_speed

Build = Callable[..., Workload]
# ten nodes of 16 cores: 160 cores


@pytest.mark.parametrize(
    ("item", "cpu"),
    [
        # 4 pods x 20 cores x 1 h / (160 cores x 2 h) = 80 / 320
        pytest.param("kind: Pod, count: 4, requests: {cpu: 20}, duration: 1h", 0.25, id="pods"),
        # 4 x 20 cores from 0 to the end of the window
        pytest.param("kind: Pod, count: 4, requests: {cpu: 20}", 0.5, id="until deleted"),
        # 6 completions x 20 cores x 30 min
        pytest.param(
            "kind: Job, count: 1, completions: 6, parallelism: 2, requests: {cpu: 20}, "
            "duration: {uniform: [20m, 40m]}",
            60 / 320,
            id="job",
        ),
        # 3 replicas x 20 cores x 90 min
        pytest.param(
            "kind: Deployment, count: 1, replicas: 3, requests: {cpu: 20}, duration: 90m",
            90 / 320,
            id="deployment",
        ),
        pytest.param(
            "kind: Deployment, count: 1, replicas: 3, requests: {cpu: 20}", 120 / 320, id="for ever"
        ),
        # 2 users, 6 pods of 10 min each: work counts wherever it lies
        pytest.param(
            "kind: Pod, count: 6, requests: {cpu: 16}, duration: 10m, "
            "arrivals: {process: closed_loop, users: 2, think_time: 5m}",
            16 / 320,
            id="closed loop",
        ),
    ],
)
def test_offered_load_by_hand(build: Build, cluster: Cluster, item: str, cpu: float) -> None:
    workload = build(f"items: [{{name: a, {item}}}]")
    assert offered_load(workload, cluster, window_us=2 * HOUR)["cpu"] == pytest.approx(cpu)


def demand(*rows: tuple[float, float, float]) -> Demand:
    amount, time, runs = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return Demand(("cpu",), amount[None, :], time, runs)


def test_three_ways_to_count() -> None:
    # capacity 10, window 100: 4 x 50 + 2 x 300 (of which 60 in the window) + 1 x for ever (20)
    asked = demand((4, 0, 50), (2, 40, 300), (1, 80, math.inf))
    total = {"cpu": 10}
    assert shares(asked, total, 100, "all_work")[0] == pytest.approx((200 + 600 + 20) / 1000)
    assert shares(asked, total, 100, "within_window")[0] == pytest.approx((200 + 120 + 20) / 1000)
    assert shares(asked, total, 100, "peak")[0] == pytest.approx(0.6)


def test_what_ends_frees_before_what_starts() -> None:
    assert shares(demand((10, 0, 5), (10, 5, 5)), {"cpu": 10}, 10, "peak")[0] == 1.0


def test_nothing_to_run_on_is_an_infinite_load() -> None:
    assert shares(demand((1, 0, 5)), {}, 10, "all_work")[0] == math.inf
    assert shares(demand((0, 0, 5)), {}, 10, "all_work")[0] == 0.0


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 1000), st.integers(0, 500)),
        min_size=1,
        max_size=15,
    ),
    st.floats(1.01, 50),
    st.sampled_from(["all_work", "within_window", "peak"]),
)
def test_faster_arrivals_never_lower_the_load(
    rows: list[tuple[float, float, float]], speed: float, counts: Any
) -> None:
    base = demand(*rows)
    fast = Demand(base.resources, base.amount, base.time_us / speed, base.duration_us)
    window = base.time_us.max() + 1
    slow_load = shares(base, {"cpu": 10}, window, counts)[0]
    assert shares(fast, {"cpu": 10}, window / speed, counts)[0] >= slow_load * (1 - 1e-9)


def test_free_times_follow_the_chain(build: Build) -> None:
    pods = build(
        "items: [{name: u, kind: Pod, count: 3, duration: 60s, "
        "arrivals: {process: closed_loop, users: 1, think_time: 10s}}]"
    ).pods
    assert (free_times(pods) / 1e6).tolist() == [10, 80, 150]


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_search_finds_the_speed(slope: float, target: float) -> None:
    speed = solve_speed(lambda s: slope * s, target, field="x")
    assert slope * speed == pytest.approx(target, rel=1e-3)


def test_search_ends_beside_a_jump() -> None:
    speed = solve_speed(lambda s: 1.0 if s < 3 else 2.0, 1.2, field="x")
    assert speed < 3


@pytest.mark.parametrize(
    ("target", "words"),
    [pytest.param(2.0, "at most 1", id="high"), pytest.param(0.2, "at least 0.5", id="low")],
)
def test_search_says_what_can_be_reached(target: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        solve_speed(lambda s: 0.5 + 0.5 * s / (1 + s), target, field="target_load.value")
