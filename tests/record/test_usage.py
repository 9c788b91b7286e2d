"""Exact step functions against an oracle that walks through time in microseconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.record.tables import to_frames
from schedlab.record.usage import Steps, Usage
from schedlab.rng import Draws
from schedlab.testing.runs import pods_at, small_node, small_run
from schedlab.units import SECOND

END = 12  # microseconds
CPU = "cpu"


class Oracle:
    """One row per microsecond: what each node offers and what its pods hold."""

    def __init__(self, pods, nodes, start):
        self.span = range(start, END)
        self.nodes = nodes
        self.offered = [
            [cpu if added <= t < removed else 0 for cpu, added, removed in nodes]
            for t in range(END)
        ]
        self.held = [
            [
                sum(
                    cpu
                    for cpu, node, bound, released in pods
                    if node == row and max(bound, added) <= t < min(released, removed)
                )
                for row, (_, added, removed) in enumerate(nodes)
            ]
            for t in range(END)
        ]

    def mean(self):
        whole = sum(sum(self.offered[t]) for t in self.span)
        return sum(sum(self.held[t]) for t in self.span) / whole if whole else np.nan

    def peak(self):
        shares = [
            sum(self.held[t]) / sum(self.offered[t]) for t in self.span if sum(self.offered[t])
        ]
        return max(shares, default=np.nan)

    def shares(self, t):
        return [held / cpu for held, cpu in zip(self.held[t], self.offered[t], strict=True) if cpu]

    def imbalance(self):
        spreads = [np.std(self.shares(t)) for t in self.span if self.shares(t)]
        return np.mean(spreads) if spreads else np.nan

    def stranded(self, median):
        whole = sum(sum(self.offered[t]) for t in self.span)
        lost = 0
        for t in self.span:
            for offered, held in zip(self.offered[t], self.held[t], strict=True):
                free = max(offered - held, 0)
                lost += free if offered - held < median else 0
        return lost / whole if whole else np.nan

    def used(self):
        return [sum(held > 0 for held in self.held[t]) for t in self.span]


nodes_st = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 8), st.integers(1, 30)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def clusters(draw):
    nodes = draw(nodes_st)
    pod = st.tuples(
        st.integers(1, 20),
        st.integers(0, len(nodes) - 1),
        st.integers(0, END),
        st.integers(0, 20),
    ).map(lambda row: (row[0], row[1], row[2], row[2] + row[3]))
    return nodes, draw(st.lists(pod, max_size=8)), draw(st.integers(0, END - 1))


def frames_of(build, nodes, pods):
    rows = [
        build.node(f"n{i}", cpu, 0) | {"added_us": added, "removed_us": removed}
        for i, (cpu, added, removed) in enumerate(nodes)
    ]
    held = [
        build.pod(f"x-{i}", created=0, bound=0, on=f"n{row}", cpu=cpu, memory=0)
        | {"bound_us": bound, "released_us": released}
        for i, (cpu, row, bound, released) in enumerate(pods)
    ]
    return to_frames(build(rows, held, END / 1e6))


@settings(max_examples=150, deadline=None)
@given(cluster=clusters())
def test_equal_to_walking_through_time(build, cluster):
    nodes, pods, start = cluster
    frames = frames_of(build, nodes, pods)
    usage = Usage(frames["pods"], frames["nodes"], END, start)
    oracle = Oracle(pods, nodes, start)
    assert usage.mean_allocation(CPU) == pytest.approx(oracle.mean(), nan_ok=True)
    assert usage.peak_allocation(CPU) == pytest.approx(oracle.peak(), nan_ok=True)
    assert usage.imbalance(CPU) == pytest.approx(oracle.imbalance(), nan_ok=True, abs=2e-6)
    mean, most = usage.nodes_used()
    assert mean == pytest.approx(np.mean(oracle.used()))
    assert most == max(oracle.used())
    if pods:
        median = np.median([pod[0] for pod in pods])
        assert usage.stranded(CPU) == pytest.approx(oracle.stranded(median), nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(cluster=clusters(), edges=st.lists(st.integers(0, END), min_size=2, unique=True).map(sorted))
def test_share_per_node_and_bin_is_the_mean_of_its_microseconds(build, cluster, edges):
    nodes, pods, _ = cluster
    frames = frames_of(build, nodes, pods)
    shares = Usage(frames["pods"], frames["nodes"], END).node_shares(CPU, np.array(edges))
    oracle = Oracle(pods, nodes, 0)
    for row in range(len(nodes)):
        for column, (left, right) in enumerate(pairwise(edges)):
            offered = sum(oracle.offered[t][row] for t in range(left, right))
            held = sum(oracle.held[t][row] for t in range(left, right))
            expected = held / offered if offered else np.nan
            assert shares[row, column] == pytest.approx(expected, nan_ok=True)


def test_a_node_name_that_comes_back_is_another_node(build):
    nodes = [
        build.node("a", 1000, 1, removed=10),
        build.node("b", 1000, 1),
        build.node("a", 500, 1, added=20),
    ]
    pods = [
        build.pod("x-0", created=0, bound=5, on="a"),  # holds until the first a leaves
        build.pod("x-1", created=0, bound=25, on="a", cpu=500),  # on the second
    ]
    frames = to_frames(build(nodes, pods, 30))
    usage = Usage(frames["pods"], frames["nodes"], 30_000_000)
    shares = usage.node_shares(CPU, np.array([0, 10, 20, 30]) * 1_000_000)
    assert shares.tolist() == [
        [0.5, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True)],
        [0, 0, 0],
        [pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True), 0.5],
    ]


def test_a_pod_on_an_unknown_node_is_an_error(build):
    frames = to_frames(
        build([build.node("a", 1, 1)], [build.pod("x-0", created=0, bound=1, on="z")], 10)
    )
    with pytest.raises(ValueError, match="bound to node 'z'"):
        Usage(frames["pods"], frames["nodes"], 10)


def test_steps_integrate_between_edges():
    steps = Steps(np.array([2, 4]), np.array([1.0, 3.0]))
    # 0 before 2, 1 from 2 to 4, 3 after.
    assert steps.integral(np.array([0, 3, 5, 5, 6])).tolist() == [1, 4, 0, 3]
    assert steps.within(3, 5).tolist() == [1, 3]


@pytest.mark.parametrize("profile", ["ideal", "default"])
def test_equal_to_what_the_recorder_sampled(profile):
    draw = Draws(1, "usage").generator()
    arrivals = np.sort(draw.uniform(0, 200, 80)).tolist()
    workload = pods_at(*zip(arrivals, draw.exponential(30, 80).tolist(), strict=True))
    nodes = [small_node("a"), small_node("b", cpu=2000)]
    record = small_run(workload, nodes=nodes, config=profile, sample_period_us=7 * SECOND).run()
    frames = to_frames(record)
    samples = frames["samples"]
    times = samples["time_us"].to_numpy()
    usage = Usage(frames["pods"], frames["nodes"], record.end_us + 1)
    requested = usage.requested(CPU)
    row = np.searchsorted(requested.time_us, times, side="right") - 1
    assert requested.value[row].tolist() == samples["requested_cpu_milli"].tolist()
    assert samples["requested_cpu_milli"].max() == 6000
