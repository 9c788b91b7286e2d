"""F_n(M): each cause by hand, a scalar oracle, and the scores that follow from it."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.fragmentation import (
    CAUSES,
    NA,
    Q1,
    Q2,
    Q3,
    Q4,
    XL,
    XR,
    TypicalPods,
    accepted,
    fragment_series,
    fragments,
    gradient_scores,
)
from schedlab.testing.gpus import gpu_class, gpu_node


def cluster(*nodes):
    """Return a state of (cpu, free GPUs, model) nodes."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, (cpu, free, model) in enumerate(nodes):
        state.nodes.add(gpu_node(f"n{i}", len(free), model=model, cpu=cpu))
    for i, (_, free, _) in enumerate(nodes):
        state.nodes.devices.free[i, : len(free)] = free
    return state


def one(cpu, milli, gpus, models=""):
    """Return a mix of one kind of pod."""
    return TypicalPods(((cpu, milli, gpus, models),), (1.0,))


@pytest.mark.parametrize(
    ("node", "pod", "expected"),
    [
        # a node with 8 cpus, one idle GPU and 300 left of the other: 1,300 thousandths are free
        pytest.param(
            (8000, (1000, 300)), (4000, 0, 0), {XL: 1300}, id="no GPU wanted: all is lost"
        ),
        pytest.param((2000, (1000, 300)), (4000, 0, 0), {XR: 1300}, id="nor would the CPU do"),
        pytest.param(
            (8000, (1000, 300)), (4000, 500, 1), {Q2: 300, Q3: 1000}, id="300 is too little for 500"
        ),
        pytest.param(
            (8000, (1000, 300)),
            (4000, 300, 1),
            {Q3: 1300},
            id="both GPUs have 300: nothing is lost",
        ),
        pytest.param(
            (8000, (1000, 300)), (4000, 1000, 1), {Q2: 300, Q3: 1000}, id="a whole GPU is there"
        ),
        pytest.param(
            (8000, (1000, 300)), (4000, 1000, 2), {Q2: 1300}, id="two are not: all is lost"
        ),
        pytest.param((8000, (900, 300)), (4000, 1000, 1), {Q2: 1200}, id="no GPU is idle"),
        pytest.param((2000, (1000, 300)), (4000, 500, 1), {Q4: 1300}, id="CPU is short"),
        pytest.param((2000, (400, 300)), (4000, 500, 1), {Q1: 700}, id="both are short"),
        pytest.param(
            (8000, (1000, 300)), (4000, 500, 1, "P100"), {NA: 1300}, id="another model is wanted"
        ),
        pytest.param(
            (2000, (1000, 300)), (4000, 500, 1, "P100"), {NA: 1300}, id="whatever the CPU"
        ),
        pytest.param(
            (8000, (1000, 300)), (4000, 500, 1, "P100|T4"), {Q2: 300, Q3: 1000}, id="T4 will do"
        ),
        pytest.param((8000, (0, 0)), (4000, 500, 1), {}, id="nothing is free"),
        pytest.param((8000, ()), (4000, 500, 1), {}, id="a node without GPUs"),
    ],
)
def test_each_cause(node, pod, expected):
    state = cluster((*node, "T4"), (8000, (0,), "P100"))
    found = fragments(state.nodes, one(*pod))[0]
    assert dict(zip(range(7), found.tolist(), strict=True)) == dict.fromkeys(range(7), 0) | expected
    assert sum(found) == sum(node[1])  # every free thousandth has one cause, or is usable


def test_the_mean_over_typical_pods():
    state = cluster((8000, (1000, 300), "T4"))
    mix = TypicalPods(((4000, 500, 1, ""), (1000, 0, 0, "")), (0.75, 0.25))
    found = fragments(state.nodes, mix)[0]
    # 3/4 (300 lost, 1000 usable) + 1/4 (1300 lost)
    assert found[[Q2, Q3, XL]].tolist() == [225, 750, 325]


def test_causes_have_names_in_the_order_of_the_columns():
    assert [CAUSES[q] for q in (Q1, Q3, NA)] == ["gpu_and_cpu_short", "usable", "wrong_model"]


def test_the_most_frequent_pods_are_typical():
    a, b, c = (1000, 0, 0, ""), (4000, 500, 1, ""), (8000, 1000, 1, "T4")
    counts = {a: 10, b: 60, c: 30}
    # 60 % is less than 85 %, with c it is 90 %: 60/90 and 30/90
    assert TypicalPods.counted(counts, 0.85) == TypicalPods((b, c), (0.6 / 0.9, 0.3 / 0.9))
    assert TypicalPods.counted(counts, 0.5).shapes == (b,)
    assert TypicalPods.counted(counts, 1.0).shapes == (b, c, a)
    pods = [shape for shape, n in counts.items() for _ in range(n)]
    assert TypicalPods.of(pods, 0.85) == TypicalPods.counted(counts, 0.85)


def test_among_equally_frequent_pods_larger_ones_come_first():
    shapes = [(1000, 0, 0, ""), (2000, 500, 1, ""), (2000, 500, 1, "T4"), (2000, 700, 1, "")]
    found = TypicalPods.of(shapes, 1.0).shapes
    assert found == (shapes[3], shapes[2], shapes[1], shapes[0])


def test_models_that_will_do():
    assert accepted(("T4", "P100"), ()).tolist() == [True, True, True]
    assert accepted(("T4", "P100"), ("P100", "A10")).tolist() == [False, True, False]


def oracle(cpu, free, model, typical):
    """Return F_n(M) and its parts, pod by pod, as the paper's program adds them."""
    idle, sums = sum(free), [0.0] * 7
    for (asked, milli, gpus, models), share in zip(typical.shapes, typical.share, strict=True):
        fitting = sum(left >= milli for left in free)
        below = sum(left for left in free if left < milli)
        if milli == 0:
            sums[XL if cpu >= asked else XR] += share * idle
        elif models and model not in models.split("|"):
            sums[NA] += share * idle
        elif fitting >= gpus and cpu >= asked:
            sums[Q2] += share * below
            sums[Q3] += share * (idle - below)
        elif fitting >= gpus:
            sums[Q4] += share * idle
        else:
            sums[Q2 if cpu >= asked else Q1] += share * idle
    return sums[Q1] + sums[Q2] + sums[Q4] + sums[XL] + sums[XR] + sums[NA], sums


SHAPES = st.tuples(
    st.sampled_from([0, 1000, 4000, 8000]),
    st.sampled_from([(0, 0), (250, 1), (500, 1), (1000, 1), (1000, 2), (1000, 4)]),
    st.sampled_from(["", "T4", "P100|T4", "A10"]),
).map(lambda s: (s[0], s[1][0], s[1][1], s[2] if s[1][1] else ""))
MIXES = st.lists(SHAPES, min_size=1, max_size=12).map(lambda s: TypicalPods.of(s, 1.0))
NODES = st.tuples(
    st.sampled_from([0, 500, 4000, 16000]),
    st.lists(st.sampled_from([0, 100, 250, 500, 750, 1000]), min_size=1, max_size=8),
    st.sampled_from(["T4", "P100"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(NODES, min_size=1, max_size=4), MIXES)
def test_compiled_fragments_are_the_oracle_s_bit_for_bit(nodes, mix):
    state = cluster(*nodes)
    found = fragments(state.nodes, mix)
    for row, (cpu, free, model) in enumerate(nodes):
        assert found[row].tolist() == oracle(cpu, free, model, mix)[1]


def potential(cpu, free, model, mix, stranding):
    """Return F_n(M), and so much of the idle GPU that the CPU left is too little for."""
    lost = oracle(cpu, free, model, mix)[0]
    return lost + stranding * max(0.0, sum(free) - cpu / mix.cpu_per_milli) if stranding else lost


def scored(cpu, free, model, pod, mix, stranding=0.0):
    """Return (score, GPU) of placing *pod* on a node, by the oracle; None where it doesn't fit."""
    asked, milli, gpus, models = pod
    fits = [d for d, left in enumerate(free) if left >= milli]
    if cpu < asked or len(fits) < gpus or (models and model not in models.split("|")):
        return None
    before = potential(cpu, free, model, mix, stranding)

    def score(after):
        return int(100 / (1 + math.exp(-(before - after) / 1000)))

    if gpus == 1 and milli < 1000:
        ways = []
        for d in fits:
            left = [*free[:d], free[d] - milli, *free[d + 1 :]]
            ways.append((score(potential(cpu - asked, left, model, mix, stranding)), -d))
        best, device = max(ways)
        return best, -device
    idle = [d for d, left in enumerate(free) if left == 1000][:gpus]
    left = [0 if d in idle else v for d, v in enumerate(free)]
    return score(potential(cpu - asked, left, model, mix, stranding)), -1


@settings(max_examples=150, deadline=None)
@given(st.lists(NODES, min_size=1, max_size=4), MIXES, SHAPES, st.sampled_from([0.0, 0.25]))
def test_scores_are_the_oracle_s(nodes, mix, pod, stranding):
    stranding = stranding if mix.cpu_per_milli else 0.0  # pods without CPU strand nothing
    state = cluster(*nodes)
    columns, devices = state.nodes, state.nodes.devices
    size = columns.size
    scores, chosen = np.zeros(size, np.int16), np.zeros(size, np.int16)
    rows = np.array([*range(size), 0], np.int64)  # a row that comes twice is looked at once
    models = accepted(tuple(devices.models), pod[3].split("|") if pod[3] else ())
    gradient_scores(
        rows, columns.allocatable, columns.requested, devices.free, devices.count, devices.model,
        mix.columns(devices), (stranding, mix.cpu_per_milli), pod[:3], models, scores, chosen,
        np.zeros(size, np.int64), 1,
    )  # fmt: skip
    for row, node in enumerate(nodes):
        assert (scores[row], chosen[row]) == (scored(*node, pod, mix, stranding) or (0, -1))


def test_a_series_is_what_fragments_says_at_every_step():
    state = cluster((16_000, (1000,) * 4, "T4"), (8_000, (1000,) * 2, "P100"))
    mix = TypicalPods.of([(4000, 500, 1, ""), (4000, 1000, 2, "T4"), (2000, 0, 0, "")], 1.0)
    nodes, devices = state.nodes, state.nodes.devices
    start = nodes.allocatable[0, :2].copy(), devices.free.copy()
    changes, milli, expected = [], [], []
    steps = [(0, 1, 500), (0, 2, 1000), (1, 1, 500), (0, 1, 500), (1, 1, 1000), (0, 0, 1000)]
    for pod, (row, gpus, share) in enumerate(steps):
        state.add_pod(pod, gpu_class(state, gpus, share, cpu=2_000), row)
        held = state.devices_of.get(pod, ())
        changes.append((row, 2_000, sum(1 << d for d in held)))
        milli.append(share)
        expected.append(fragments(nodes, mix).sum(axis=0))
    state.remove_pod(1)
    changes.append((0, -2_000, 0b0110))
    milli.append(-1000)
    expected.append(fragments(nodes, mix).sum(axis=0))
    out = np.zeros((len(changes), 7))
    fragment_series(
        *start, devices.count, devices.model, mix.columns(devices),
        np.array(changes, np.int64), np.array(milli, np.int64), out,
    )  # fmt: skip
    assert np.allclose(out, expected, rtol=0, atol=1e-9)


def test_an_empty_mix_has_no_typical_pods():
    assert TypicalPods.counted(Counter(), 0.95).shapes == ()


@pytest.mark.parametrize(
    ("pods", "ratio"),
    [
        pytest.param([(4000, 500, 1, "")], 8.0, id="4,000 milli-cores for half a GPU"),
        pytest.param([(4000, 500, 1, ""), (2000, 0, 0, "")], 8.0, id="CPU pods do not count"),
        pytest.param([(16000, 1000, 4, "")], 4.0, id="four GPUs"),
        pytest.param([(4000, 0, 0, "")], math.inf, id="no GPU: none can be stranded"),
    ],
)
def test_cpu_for_a_thousandth_of_a_gpu(pods, ratio):
    assert TypicalPods.of(pods, 1.0).cpu_per_milli == ratio
