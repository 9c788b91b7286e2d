"""NodeResourcesFit's scores by tables: read them to learn how full a node should be.

The cases follow the spirit of upstream's (least_allocated, most_allocated and
requested_to_capacity_ratio of pkg/scheduler/framework/plugins/noderesources). Each resource has a
score by what is used of it once the pod is there, used = what pods ask for + what the pod asks for;
the node's score is their mean by weight. All divisions truncate.
"""

import numpy as np
import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import PodSpec
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Cycle, normalized
from schedlab.scheduling.plugins.node_resources_fit import FitArgs, NodeResourcesFit, shape_scores
from schedlab.testing import small_node

MI = 1 << 20
GPU, NIC, HUGE = "example.com/gpu", "example.com/nic", "hugepages-2Mi"
LEAST, MOST, RATIO = "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"


def node(name="n0", **offers):
    """Return a node that has what *offers* says, ``cpu=..., memory=...``, and nothing else."""
    found = small_node(name)
    status = found.status.model_copy(update={"allocatable": Amounts({**offers, "pods": 110})})
    return found.model_copy(update={"status": status})


def sized(cpu=0, memory=0, **more):
    """Return the spec of a pod of one container that asks for these amounts, zeros included."""
    spec = PodSpec.model_validate({"containers": [{"name": "c"}]})
    container = spec.containers[0]
    amounts = Amounts({"cpu": cpu, "memory": memory, **more})
    resources = container.resources.model_copy(update={"requests": amounts})
    container = container.model_copy(update={"resources": resources})
    return spec.model_copy(update={"containers": (container,)})


def score(args, offers, used, asked):
    """Return what a node is worth to a pod; *used* and *asked* are pod specs."""
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(node(**offers))
    for i, spec in enumerate(used):
        state.add_pod(i, state.classes.intern("default", spec, 0), 0)
    pod = state.classes.intern("default", asked, 0)
    state.nodes.reserve_resources()
    cycle = Cycle(state, pod)
    plugin = NodeResourcesFit(args)
    assert not plugin.pre_score(cycle, cycle.rows())
    raw = plugin.score(cycle, cycle.rows())
    assert normalized(plugin, cycle, cycle.rows(), raw).tolist() == raw.tolist()
    (found,) = raw.tolist()
    return found


# --- cpu and memory: (node), (used), (asked) in milli-cores and bytes


@pytest.mark.parametrize(
    ("size", "used", "asked", "expected"),
    [
        # cpu (4000 - 3000) x 100 / 4000 = 25, memory (10000 - 5000) x 100 / 10000 = 50: 75 / 2
        pytest.param((4_000, 10_000), (0, 0), (3_000, 5_000), 37, id="37.5 is truncated"),
        # cpu (6000 - 3000) x 100 / 6000 = 50, memory 50
        pytest.param((6_000, 10_000), (0, 0), (3_000, 5_000), 50, id="even"),
        # cpu (10000 - 6000) x 100 / 10000 = 40, memory (20000 - 10000) x 100 / 20000 = 50: 90 / 2
        pytest.param((10_000, 20_000), (3_000, 5_000), (3_000, 5_000), 45, id="on top of others"),
        # cpu would be over capacity: 0; memory (10000 - 5000) x 100 / 10000 = 50: 50 / 2
        pytest.param((4_000, 10_000), (3_000, 0), (3_000, 5_000), 25, id="over capacity is 0"),
        # both over capacity
        pytest.param((4_000, 4_000), (3_000, 3_000), (3_000, 5_000), 0, id="both over capacity"),
        # cpu (3 - 1) x 100 / 3 = 66.6, memory (3 - 2) x 100 / 3 = 33.3: (66 + 33) / 2 = 49.5
        pytest.param((3, 3), (0, 0), (1, 2), 49, id="truncated twice"),
        # cpu (1000 - 1) x 100 / 1000 = 99.9, memory 99.9
        pytest.param((1_000, 1_000), (0, 0), (1, 1), 99, id="almost nothing is asked"),
        pytest.param((1_000, 1_000), (0, 0), (0, 0), 100, id="nothing is asked: 100, 100"),
        pytest.param((1_000, 1_000), (0, 0), (1_000, 1_000), 0, id="all is asked: 0, 0"),
        # cpu (1000 - 999) x 100 / 1000 = 0.1, memory the same
        pytest.param((1_000, 1_000), (500, 500), (499, 499), 0, id="almost all is asked"),
        # memory only: (10000 - 5000) x 100 / 10000 = 50
        pytest.param((0, 10_000), (0, 0), (3_000, 5_000), 50, id="a node without cpu"),
        pytest.param((4_000, 0), (0, 0), (3_000, 5_000), 25, id="a node without memory"),
        pytest.param((0, 0), (0, 0), (3_000, 5_000), 0, id="a node without either"),
        # 2^50 bytes: (2^50 - 2^49) x 100 does not overflow; cpu (4 - 1) x 100 / 4 = 75: 125 / 2
        pytest.param((4, 1 << 50), (0, 0), (1, 1 << 49), 62, id="a petabyte"),
    ],
)
def test_least_allocated(size, used, asked, expected):
    offers = {"cpu": size[0], "memory": size[1]}
    assert score(FitArgs(LEAST), offers, [sized(*used)], sized(*asked)) == expected


@pytest.mark.parametrize(
    ("size", "used", "asked", "expected"),
    [
        # cpu 3000 x 100 / 4000 = 75, memory 5000 x 100 / 10000 = 50: 125 / 2 = 62.5
        pytest.param((4_000, 10_000), (0, 0), (3_000, 5_000), 62, id="62.5 is truncated"),
        # cpu 3000 x 100 / 6000 = 50, memory 50
        pytest.param((6_000, 10_000), (0, 0), (3_000, 5_000), 50, id="even"),
        # cpu min(6000, 4000) = 100, memory 50: 150 / 2
        pytest.param((4_000, 10_000), (3_000, 0), (3_000, 5_000), 75, id="over capacity is 100"),
        # cpu 6000 x 100 / 10000 = 60, memory 10000 x 100 / 20000 = 50: 110 / 2
        pytest.param((10_000, 20_000), (3_000, 5_000), (3_000, 5_000), 55, id="on top of others"),
        pytest.param((1_000, 1_000), (0, 0), (0, 0), 0, id="nothing is asked: 0, 0"),
        pytest.param((1_000, 1_000), (0, 0), (1_000, 1_000), 100, id="all is asked: 100, 100"),
        # 1 x 100 / 3 = 33.3, 2 x 100 / 3 = 66.6: (33 + 66) / 2 = 49.5
        pytest.param((3, 3), (0, 0), (1, 2), 49, id="truncated twice, as LeastAllocated"),
        # cpu 75, memory is not there
        pytest.param((4_000, 0), (0, 0), (3_000, 5_000), 75, id="a node without memory"),
        pytest.param((0, 0), (0, 0), (3_000, 5_000), 0, id="a node without either"),
        # 999 x 100 / 1000 = 99.9
        pytest.param((1_000, 1_000), (500, 500), (499, 499), 99, id="almost full"),
    ],
)
def test_most_allocated(size, used, asked, expected):
    offers = {"cpu": size[0], "memory": size[1]}
    assert score(FitArgs(MOST), offers, [sized(*used)], sized(*asked)) == expected


# --- RequestedToCapacityRatio: one resource, cpu, of which some per cent are used


HILL = ((0, 0), (50, 10), (100, 5))
FALL = ((0, 10), (100, 0))
STEP = ((20, 3), (80, 9))


@pytest.mark.parametrize(
    ("shape", "used", "expected"),
    [
        pytest.param(HILL, 0, 0, id="hill: 0 % is the first point"),
        pytest.param(HILL, 25, 50, id="hill: 0 + (100 - 0) x 25 / 50"),
        pytest.param(HILL, 50, 100, id="hill: 50 % is a point"),
        pytest.param(HILL, 75, 75, id="hill: 100 + (50 - 100) x 25 / 50"),
        pytest.param(HILL, 100, 50, id="hill: 100 % is the last point"),
        # -50 / 50 = -1
        pytest.param(HILL, 51, 99, id="hill: 100 + (50 - 100) x 1 / 50"),
        # bin packing, and its opposite
        pytest.param(((0, 0), (100, 10)), 37, 37, id="rise: 0 + 100 x 37 / 100"),
        pytest.param(FALL, 0, 100, id="fall: 0 % is the best"),
        pytest.param(FALL, 37, 63, id="fall: 100 - 100 x 37 / 100"),
        pytest.param(FALL, 100, 0, id="fall: 100 % is the worst"),
        # before the first and after the last point the line is flat
        pytest.param(STEP, 0, 30, id="step: flat before 20 %"),
        pytest.param(STEP, 20, 30, id="step: 20 % is the first point"),
        pytest.param(STEP, 50, 60, id="step: 30 + (90 - 30) x 30 / 60"),
        pytest.param(STEP, 81, 90, id="step: flat after 80 %"),
        pytest.param(((50, 7),), 3, 70, id="one point: flat before it"),
        pytest.param(((50, 7),), 98, 70, id="one point: flat after it"),
        # truncated toward zero: 100 x 10 / 30 = 33.3, up and down
        pytest.param(((0, 0), (30, 10)), 10, 33, id="rise by thirds: 0 + 33"),
        pytest.param(((0, 10), (30, 0)), 10, 67, id="fall by thirds: 100 - 33"),
        pytest.param(((0, 4), (100, 4)), 61, 40, id="flat all along"),
    ],
)
def test_requested_to_capacity_ratio(shape, used, expected):
    args = FitArgs(RATIO, (("cpu", 1),), shape)
    assert score(args, {"cpu": 100_000}, [], sized(cpu=used * 1_000)) == expected
    assert shape_scores(np.array([used]), shape).tolist() == [expected]


@pytest.mark.parametrize(
    ("size", "asked", "weights", "shape", "expected"),
    [
        # cpu 1 x 100 / 3 = 33 %, memory 1 x 100 / 2 = 50 %: (33 + 50) / 2 = 41.5
        pytest.param((3, 2), (1, 1), (1, 1), ((0, 0), (100, 10)), 42, id="41.5 is rounded up"),
        # cpu 33 %, memory 50 %: (2 x 33 + 50) / 3 = 38.67
        pytest.param((3, 2), (1, 1), (2, 1), ((0, 0), (100, 10)), 39, id="38.67 is rounded up"),
        # cpu 33 %, memory 25 %: (3 x 33 + 25) / 4 = 31
        pytest.param((3, 4), (1, 1), (3, 1), ((0, 0), (100, 10)), 31, id="by weight"),
        # cpu 33 %, memory 50 %: (33 + 4 x 50) / 5 = 46.6; (33 + 2 x 50) / 3 = 44.33
        pytest.param((3, 2), (1, 1), (1, 4), ((0, 0), (100, 10)), 47, id="46.6 is rounded up"),
        pytest.param((3, 2), (1, 1), (1, 2), ((0, 0), (100, 10)), 44, id="44.33 is rounded down"),
        # a score of 0 drops out with its weight: memory 50 alone
        pytest.param((2, 2), (0, 1), (1, 1), ((0, 0), (100, 10)), 50, id="what is worth 0 is out"),
        pytest.param((2, 2), (0, 1), (9, 1), ((0, 0), (100, 10)), 50, id="whatever its weight"),
        pytest.param((2, 2), (0, 0), (1, 1), ((0, 0), (100, 10)), 0, id="all worth 0"),
        # cpu over capacity counts as 100 %: (100 + 50) / 2
        pytest.param((1, 2), (3, 1), (1, 1), ((0, 0), (100, 10)), 75, id="over capacity is 100 %"),
        # with a falling shape that is worth 0, so that memory 50 stands alone
        pytest.param((1, 2), (3, 1), (1, 1), FALL, 50, id="over capacity is 100 %: worth 0"),
        pytest.param((0, 2), (1, 1), (1, 1), FALL, 50, id="a node without cpu"),
        pytest.param((0, 0), (1, 1), (1, 1), FALL, 0, id="a node without either"),
    ],
)
def test_the_mean_of_two_ratios(size, asked, weights, shape, expected):
    resources = (("cpu", weights[0]), ("memory", weights[1]))
    offers = {"cpu": size[0], "memory": size[1]}
    assert score(FitArgs(RATIO, resources, shape), offers, [], sized(*asked)) == expected


# --- which resources count, and how much


@pytest.mark.parametrize(
    ("strategy", "resources", "offers", "asked", "expected"),
    [
        # cpu 50, memory 10: (3 x 50 + 10) / 4 = 40
        pytest.param(
            LEAST,
            {"cpu": 3, "memory": 1},
            {"cpu": 1_000, "memory": 1_000},
            {"cpu": 500, "memory": 900},
            40,
            id="by weight",
        ),
        # cpu 50, memory 90: (50 + 99 x 90) / 100 = 89.6
        pytest.param(
            MOST,
            {"cpu": 1, "memory": 99},
            {"cpu": 1_000, "memory": 1_000},
            {"cpu": 500, "memory": 900},
            89,
            id="by weight, truncated",
        ),
        pytest.param(
            LEAST,
            {"memory": 1},
            {"cpu": 1_000, "memory": 1_000},
            {"cpu": 500, "memory": 900},
            10,
            id="memory alone",
        ),
        # the card is not asked for: (3 x 50 + 10) / 4 = 40, not (160 + 9 x 100) / 13
        pytest.param(
            LEAST,
            {"cpu": 3, "memory": 1, GPU: 9},
            {"cpu": 1_000, "memory": 1_000, GPU: 4},
            {"cpu": 500, "memory": 900},
            40,
            id="a card that is not asked for is out",
        ),
        # cards (4 - 1) x 100 / 4 = 75: (50 + 10 + 75) / 3 = 45
        pytest.param(
            LEAST,
            {"cpu": 1, "memory": 1, GPU: 1},
            {"cpu": 1_000, "memory": 1_000, GPU: 4},
            {"cpu": 500, "memory": 900, GPU: 1},
            45,
            id="one that is asked for counts",
        ),
        # (50 + 10) / 2: the node has no card to count
        pytest.param(
            LEAST,
            {"cpu": 1, "memory": 1, GPU: 1},
            {"cpu": 1_000, "memory": 1_000},
            {"cpu": 500, "memory": 900, GPU: 1},
            30,
            id="a card that the node lacks is out",
        ),
        pytest.param(
            MOST, {GPU: 5}, {"cpu": 1, GPU: 4}, {"cpu": 1, GPU: 3}, 75, id="cards alone: 300 / 4"
        ),
        pytest.param(
            MOST, {GPU: 5}, {"cpu": 1, GPU: 4}, {"cpu": 1}, 0, id="cards alone, none asked for"
        ),
        pytest.param(
            MOST, {NIC: 1}, {"cpu": 1, GPU: 4}, {"cpu": 1, GPU: 3}, 0, id="only one that nobody has"
        ),
        # pages (8 - 2) x 100 / 8 = 75
        pytest.param(LEAST, {HUGE: 1}, {HUGE: 8}, {HUGE: 2}, 75, id="huge pages as cards"),
        pytest.param(LEAST, {HUGE: 1}, {HUGE: 8}, {}, 0, id="huge pages, none asked for"),
        # the disk counts as cpu does, asked for or not: (50 + 100) / 2
        pytest.param(
            LEAST,
            {"cpu": 1, "ephemeral-storage": 1},
            {"cpu": 1_000, "ephemeral-storage": 100},
            {"cpu": 500},
            75,
            id="a disk that is not asked for counts",
        ),
        # disk (100 - 60) x 100 / 100 = 40: (50 + 40) / 2
        pytest.param(
            LEAST,
            {"cpu": 1, "ephemeral-storage": 1},
            {"cpu": 1_000, "ephemeral-storage": 100},
            {"cpu": 500, "ephemeral-storage": 60},
            45,
            id="a disk that is asked for",
        ),
        # the number of pods is no resource that counts: cpu (1000 - 500) x 100 / 1000 = 50
        pytest.param(
            LEAST, {"cpu": 1, "pods": 9}, {"cpu": 1_000}, {"cpu": 500}, 50, id="pods never count"
        ),
        pytest.param(MOST, {"pods": 1}, {"cpu": 1_000}, {"cpu": 500}, 0, id="not even alone"),
    ],
)
def test_which_resources_count(strategy, resources, offers, asked, expected):
    args = FitArgs(strategy, tuple(resources.items()))
    assert score(args, offers, [], sized(**asked)) == expected


# --- what a container counts that asks for nothing: 100m and 200Mi. The node has 1000m and 2000Mi,
# so that LeastAllocated takes 10 for each 100m of cpu and 10 for each 200Mi of memory, and halves


def pod(*containers, init=(), **spec):
    """Return a pod spec from containers, given by their requests."""
    return PodSpec.model_validate(
        {
            "containers": [
                {"name": f"c{i}", "resources": {"requests": c}} for i, c in enumerate(containers)
            ],
            "initContainers": [{"name": f"i{i}", **c} for i, c in enumerate(init)],
            **spec,
        },
        by_name=False,
    )


def initial(sidecar=False, **requests):
    found = {"resources": {"requests": requests}}
    return {**found, "restartPolicy": "Always"} if sidecar else found


@pytest.mark.parametrize(
    ("used", "asked", "expected"),
    [
        # (90 + 90) / 2
        pytest.param([], pod({}), 90, id="100m, 200Mi"),
        # (80 + 80) / 2
        pytest.param([], pod({}, {}), 80, id="two containers: 200m, 400Mi"),
        # (50 + 90) / 2
        pytest.param([], pod({"cpu": "500m"}), 70, id="500m, 200Mi"),
        # (90 + 50) / 2
        pytest.param([], pod({"memory": "1000Mi"}), 70, id="100m, 1000Mi"),
        # (40 + 80) / 2
        pytest.param([], pod({"cpu": "500m"}, {}), 60, id="500m + 100m, 200Mi + 200Mi"),
        # (100 + 90) / 2
        pytest.param([], pod({"cpu": "0"}), 95, id="a zero is an answer: 0m, 200Mi"),
        # (100 + 100) / 2
        pytest.param([], pod({"cpu": "0", "memory": "0"}), 100, id="two zeros: 0m, 0Mi"),
        # (99 + 99) / 2: (1000 - 1) x 100 / 1000 and (2000 Mi - 1) x 100 / 2000 Mi
        pytest.param(
            [], pod({"cpu": "1m", "memory": "1"}), 99, id="less than the defaults is less"
        ),
        # (90 + 90) / 2
        pytest.param([], pod({GPU: "1"}), 90, id="a card beside: 100m, 200Mi"),
        # max(100, 100), max(200, 200)
        pytest.param([], pod({}, init=[initial()]), 90, id="init: the larger, 100m, 200Mi"),
        # max(100, 500) = 500m, 200Mi: (50 + 90) / 2
        pytest.param([], pod({}, init=[initial(cpu="500m")]), 70, id="init: 500m, 200Mi"),
        # 100 + 100, 200 + 200
        pytest.param([], pod({}, init=[initial(True)]), 80, id="a sidecar: 200m, 400Mi"),
        # 100 + 300, 200 + 200: (60 + 80) / 2
        pytest.param([], pod({}, init=[initial(True, cpu="300m")]), 70, id="sidecar: 400m, 400Mi"),
        # 100 + 100: (80 + 90) / 2
        pytest.param([], pod({}, overhead={"cpu": "100m"}), 85, id="overhead: 200m, 200Mi"),
        # pods on the node count as well
        pytest.param([pod({})], pod({}), 80, id="one there, and one: 200m, 400Mi"),
        # 500 + 100, 200 + 200: (40 + 80) / 2
        pytest.param([pod({"cpu": "500m"})], pod({}), 60, id="500m there: 600m, 400Mi"),
        pytest.param([pod({}), pod({}, {})], pod({}), 60, id="three containers there: 400m, 800Mi"),
        # pod-level requests of the pod itself are left out, as 1.35 does: 100m, 200Mi
        pytest.param(
            [], pod({}, resources={"requests": {"cpu": "500m"}}), 90, id="its own pod-level request"
        ),
        # those of pods on the node aren't: 500 + 100, 200 + 200: (40 + 80) / 2
        pytest.param(
            [pod({}, resources={"requests": {"cpu": "500m"}})],
            pod({}),
            60,
            id="another's pod-level request",
        ),
        # and leave no room for defaults: 500 + 100, 400 + 200, for two containers: (40 + 70) / 2
        pytest.param(
            [pod({}, {}, resources={"requests": {"cpu": "500m", "memory": "400Mi"}})],
            pod({}),
            55,
            id="another's pod-level requests for all it has",
        ),
    ],
)
def test_containers_that_ask_for_nothing(used, asked, expected):
    assert score(FitArgs(LEAST), {"cpu": 1_000, "memory": 2_000 * MI}, used, asked) == expected


# --- several nodes


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        # cpu and memory alike: 100 x (4 - 1) / 4, 100 x (2 - 1) / 2, 100 x (8 - 1 - 5) / 8
        pytest.param(LEAST, [75, 50, 25], id="the emptiest is the best"),
        # 100 x 1 / 4, 100 x 1 / 2, 100 x 6 / 8
        pytest.param(MOST, [25, 50, 75], id="the fullest is the best"),
    ],
)
def test_each_node_for_itself(strategy, expected):
    state = ClusterState(ClassTable(ResourceNames()))
    for name, size in (("n0", 4), ("n1", 2), ("n2", 8)):
        state.nodes.add(node(name, cpu=size, memory=size))
    state.add_pod(0, state.classes.intern("default", sized(5, 5), 0), 2)
    cycle = Cycle(state, state.classes.intern("default", sized(1, 1), 0))
    plugin = NodeResourcesFit(FitArgs(strategy))
    assert plugin.score(cycle, cycle.rows()).tolist() == expected
    assert plugin.score(cycle, np.array([2, 0])).tolist() == [expected[2], expected[0]]


def test_what_a_pod_had_is_free_when_it_has_gone():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(node(cpu=10, memory=10))
    cycle = Cycle(state, state.classes.intern("default", sized(1, 1), 0))
    plugin = NodeResourcesFit()
    state.add_pod(0, cycle.pod_class, 0)
    assert plugin.score(cycle, cycle.rows()).tolist() == [80]  # 100 x (10 - 2) / 10
    state.remove_pod(0)
    assert plugin.score(cycle, cycle.rows()).tolist() == [90]  # 100 x (10 - 1) / 10
