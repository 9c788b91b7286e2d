"""NodeResourcesBalancedAllocation by tables: read them to learn what an even node is worth.

The cases follow the spirit of upstream's (balanced_allocation of
pkg/scheduler/framework/plugins/noderesources). share = (used + asked) / allocatable, 1 at most, and
score = (1 - standard deviation of the shares) x 100, in float64 and then truncated. Of two shares
the deviation is |a - b| / 2, of one or none 0.
"""

import numpy as np
import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import PodSpec
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.evaluation import evaluate
from schedlab.scheduling.framework.interface import Cycle, Depends, normalized
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.testing import small_node

PLUGIN = NodeResourcesBalancedAllocation()
GPU, NIC, DISK = "example.com/gpu", "example.com/nic", "ephemeral-storage"


def node(name="n0", **offers):
    """Return a node that has what *offers* says, ``cpu=..., memory=...``, and nothing else."""
    found = small_node(name)
    status = found.status.model_copy(update={"allocatable": Amounts({**offers, "pods": 110})})
    return found.model_copy(update={"status": status})


def sized(**amounts):
    """Return the spec of a pod of one container that asks for these canonical amounts."""
    spec = PodSpec.model_validate({"containers": [{"name": "c"}]})
    container = spec.containers[0]
    resources = container.resources.model_copy(update={"requests": Amounts(amounts)})
    container = container.model_copy(update={"resources": resources})
    return spec.model_copy(update={"containers": (container,)})


def cluster(*nodes, used=()):
    """Return a cluster, with pods of the specs *used* on its first node."""
    state = ClusterState(ClassTable(ResourceNames()))
    for found in nodes:
        state.nodes.add(found)
    for i, spec in enumerate(used):
        state.add_pod(i, state.classes.intern("default", spec, 0), 0)
    return state


def cycle_of(state, spec):
    cycle = Cycle(state, state.classes.intern("default", spec, 0))
    state.nodes.reserve_resources()
    return cycle


def score(offers, used, asked, plugin=PLUGIN):
    """Return what a node is worth to a pod; *used* and *asked* are pod specs."""
    cycle = cycle_of(cluster(node(**offers), used=used), asked)
    raw = plugin.score(cycle, cycle.rows())
    assert normalized(plugin, cycle, cycle.rows(), raw).tolist() == raw.tolist()
    (found,) = raw.tolist()
    return found


# --- two resources (TestNodeResourcesBalancedAllocation): (cpu, memory) each


@pytest.mark.parametrize(
    ("size", "used", "asked", "expected"),
    [
        # |0.75 - 0.5| / 2 = 0.125: 87.5
        pytest.param((4_000, 10_000), (0, 0), (3_000, 5_000), 87, id="87.5 is truncated"),
        # |0.5 - 0.5| / 2 = 0
        pytest.param((6_000, 10_000), (0, 0), (3_000, 5_000), 100, id="even"),
        # |0.5 - 0.75| / 2 = 0.125
        pytest.param((10_000, 4_000), (0, 0), (5_000, 3_000), 87, id="whichever is the larger"),
        # |1 - 0| / 2 = 0.5
        pytest.param(
            (1_000, 1_000), (0, 0), (1_000, 0), 50, id="all and nothing: the worst of two"
        ),
        # |1 - 1| / 2 = 0
        pytest.param((1_000, 1_000), (0, 0), (1_000, 1_000), 100, id="a full node is even"),
        # |0.001 - 0.001| / 2 = 0
        pytest.param((1_000, 1_000), (0, 0), (1, 1), 100, id="so is an empty one"),
        # |1/3 - 2/3| / 2 = 0.1667: 83.3
        pytest.param((3, 3), (0, 0), (1, 2), 83, id="thirds"),
        # |0.001 - 0| / 2 = 0.0005: 99.95
        pytest.param((1_000, 1_000), (0, 0), (1, 0), 99, id="almost even is not even"),
        # with what is used already
        # |(500 + 0) / 1000 - (0 + 500) / 1000| / 2 = 0
        pytest.param((1_000, 1_000), (500, 0), (0, 500), 100, id="the pod evens it out"),
        # |(500 + 250) / 1000 - 0| / 2 = 0.375: 62.5
        pytest.param((1_000, 1_000), (500, 0), (250, 0), 62, id="the pod makes it worse"),
        # |0.6 - 0.5| / 2 = 0.05
        pytest.param((1_000, 1_000), (300, 300), (300, 200), 95, id="nearly as even as before"),
        # shares are capped at 1
        # |1 - 0.5| / 2 = 0.25, not |1.5 - 0.5| / 2
        pytest.param((2_000, 10_000), (0, 0), (3_000, 5_000), 75, id="over capacity is full"),
        # |1 - 1| / 2 = 0
        pytest.param((1_000, 1_000), (0, 0), (9_000, 2_000), 100, id="both over capacity"),
        # |1 - 0| / 2 = 0.5
        pytest.param((1_000, 1_000), (5_000, 0), (1, 0), 50, id="overcommitted before"),
        # a resource that the node lacks does not count: of one share there is no deviation
        pytest.param((4_000, 0), (0, 0), (3_000, 5_000), 100, id="a node without memory"),
        pytest.param((0, 4_000), (0, 0), (3_000, 1_000), 100, id="a node without cpu"),
        pytest.param((0, 0), (0, 0), (3_000, 5_000), 100, id="a node without either"),
        # |2^39 / 2^40 - 1/4| / 2 = 0.125: 87.5
        pytest.param((4, 1 << 40), (0, 0), (1, 1 << 39), 87, id="a terabyte"),
        # |0.8 - 0.1| / 2 = 0.35, but in float64 0.8 - 0.1 = 0.7000000000000001: 64.99999999999999
        pytest.param((10, 10), (0, 0), (8, 1), 64, id="a last bit decides"),
        # |0.9 - 0.7| / 2 = 0.1, in float64 0.10000000000000003: 89.99999999999999
        pytest.param((10, 10), (0, 0), (9, 7), 89, id="and again"),
        # |0.9 - 0.8| / 2 = 0.05, in float64 0.04999999999999999: 95
        pytest.param((10, 10), (0, 0), (9, 8), 95, id="but not here"),
    ],
)
def test_two_resources(size, used, asked, expected):
    size, used, asked = (
        dict(zip(("cpu", "memory"), pair, strict=True)) for pair in (size, used, asked)
    )
    assert score(size, [sized(**used)], sized(**asked)) == expected


# --- more, and fewer; every node has 100 of each, so that what is asked for are the shares in %


@pytest.mark.parametrize(
    ("lacks", "asked", "expected"),
    [
        # shares 0.2, 0.4, 0.75, mean 0.45: sqrt((0.0625 + 0.0025 + 0.09) / 3) = 0.2273: 77.3
        pytest.param([], {"cpu": 20, "memory": 40, GPU: 75}, 77, id="three"),
        # sqrt(0 / 3)
        pytest.param([], {"cpu": 50, "memory": 50, GPU: 50}, 100, id="three alike"),
        # mean 0.333: sqrt((0.444 + 0.111 + 0.111) / 3) = 0.4714: 52.9
        pytest.param([], {"cpu": 0, "memory": 0, GPU: 100}, 52, id="cards only"),
        # mean 0.667: sqrt((0.111 + 0.111 + 0.444) / 3) = 0.4714: 52.9
        pytest.param([], {"cpu": 100, "memory": 100, DISK: 0}, 52, id="all but the disk"),
        # mean 0.5: sqrt((0.25 + 0 + 0.25) / 3) = 0.4082: 59.2
        pytest.param([], {"cpu": 0, "memory": 50, GPU: 100}, 59, id="nothing, half, all"),
        # 2 is capped: mean 0.5, as above
        pytest.param([], {"cpu": 0, "memory": 50, GPU: 200}, 59, id="nothing, half, too much"),
        # a card that is not asked for is out: |0.2 - 0.4| / 2 = 0.1
        pytest.param([], {"cpu": 20, "memory": 40, GPU: 0}, 90, id="no card is asked for"),
        # the disk is not: shares 0.2, 0.4, 0, mean 0.2: sqrt((0 + 0.04 + 0.04) / 3) = 0.1633: 83.7
        pytest.param([], {"cpu": 20, "memory": 40, DISK: 0}, 83, id="no disk is asked for"),
        # what the node lacks is out: |0.2 - 0.4| / 2 = 0.1
        pytest.param([GPU], {"cpu": 20, "memory": 40, GPU: 75}, 90, id="the node has no card"),
        # |0.2 - 0.75| / 2 = 0.275: 72.5
        pytest.param(
            ["memory"], {"cpu": 20, "memory": 40, GPU: 75}, 72, id="the node has no memory"
        ),
        pytest.param(
            ["cpu", GPU], {"cpu": 20, "memory": 40, GPU: 75}, 100, id="it has one of three"
        ),
        # pages that are not asked for are out: shares 1, 1, 0, as above
        pytest.param(
            [],
            {"cpu": 100, "memory": 100, DISK: 0, "hugepages-2Mi": 0},
            52,
            id="no pages are asked for",
        ),
        # mean 0.5: sqrt(4 x 0.0625 / 4) = 0.25
        pytest.param([], {"cpu": 25, "memory": 25, GPU: 75, NIC: 75}, 75, id="four"),
        # mean 0.5: sqrt((0.16 + 0.04 + 0.04 + 0.16) / 4) = 0.3162: 68.4
        pytest.param([], {"cpu": 10, "memory": 30, GPU: 70, NIC: 90}, 68, id="four, spread"),
        # one share only
        pytest.param([], {"cpu": 90}, 100, id="one"),
        # |0.9 - 0.1| / 2 = 0.4
        pytest.param([], {GPU: 90, NIC: 10}, 60, id="two cards, and nothing else"),
        # pods are no resource that counts: one share only
        pytest.param([], {"cpu": 90, "pods": 0}, 100, id="the number of pods is out"),
    ],
)
def test_other_numbers_of_resources(lacks, asked, expected):
    offers = {name: 100 for name in asked if name not in lacks and name != "pods"}
    wanted = {name: amount for name, amount in asked.items() if amount}
    for weight in (1, 9):  # weights don't matter, whatever they are
        plugin = NodeResourcesBalancedAllocation(tuple((name, weight) for name in asked))
        assert score(offers, [], sized(**wanted), plugin) == expected


# --- what a pod asks for: the node has 1000m and 1000 bytes


def pod(*containers, init=(), **spec):
    """Return a pod spec from containers, given by their requests."""

    def made(kind, requests):
        found = {"name": kind, "resources": {"requests": dict(requests)}}
        sidecar = found["resources"]["requests"].pop("sidecar", False)
        return {**found, "restartPolicy": "Always"} if sidecar else found

    groups = {
        "containers": [made(f"c{i}", c) for i, c in enumerate(containers)],
        "initContainers": [made(f"i{i}", c) for i, c in enumerate(init)],
    }
    return PodSpec.model_validate({**groups, **spec}, by_name=False)


@pytest.mark.parametrize(
    ("used", "asked", "expected"),
    [
        # |0.5 - 0| / 2 = 0.25: here nothing stands in for what is not asked for
        pytest.param([], pod({"cpu": "500m"}), 75, id="no 200Mi of memory are assumed"),
        pytest.param([], pod({"memory": "500"}), 75, id="no 100m of cpu are assumed"),
        # |0.5 - 0.5| / 2
        pytest.param([], pod({"cpu": "500m"}, {"memory": "500"}), 100, id="two containers"),
        # |0.5 - 0.5| / 2
        pytest.param([], pod({"cpu": "500m"}, init=[{"memory": "500"}]), 100, id="init, then one"),
        # |0.9 - 0.3| / 2 = 0.3
        pytest.param(
            [],
            pod({"cpu": "300m", "memory": "300"}, init=[{"cpu": "900m"}]),
            70,
            id="the larger of init and what follows",
        ),
        # |0.8 - 0.3| / 2 = 0.25
        pytest.param(
            [],
            pod({"cpu": "300m", "memory": "300"}, init=[{"cpu": "500m", "sidecar": True}]),
            75,
            id="a sidecar on top",
        ),
        # |0.5 - 0.1| / 2 = 0.2
        pytest.param([], pod({"cpu": "500m"}, overhead={"memory": "100"}), 80, id="overhead"),
        # |0.5 - 0.4| / 2 = 0.05, not |0.1 - 0.4| / 2
        pytest.param(
            [],
            pod({"cpu": "100m", "memory": "400"}, resources={"requests": {"cpu": "500m"}}),
            95,
            id="pod-level requests in place of the sum",
        ),
        # |0.5 - 0| / 2 = 0.25
        pytest.param([pod({}), pod({})], pod({"cpu": "500m"}), 75, id="pods that ask for nothing"),
        # |0.5 - 0.4| / 2 = 0.05
        pytest.param(
            [pod({}, resources={"requests": {"memory": "400"}})],
            pod({"cpu": "500m"}),
            95,
            id="another's pod-level request",
        ),
    ],
)
def test_what_a_pod_asks_for(used, asked, expected):
    assert score({"cpu": 1_000, "memory": 1_000}, used, asked) == expected


# --- pods that ask for none of the resources are not scored (kubernetes#129138)


@pytest.mark.parametrize(
    ("resources", "asked", "skipped"),
    [
        pytest.param(["cpu", "memory"], pod({}), True, id="nothing"),
        pytest.param(["cpu", "memory"], pod({"cpu": "0", "memory": "0"}), True, id="zeros"),
        pytest.param(["cpu", "memory"], pod({"cpu": "1m"}), False, id="some cpu"),
        pytest.param(["cpu", "memory"], pod({"memory": "1"}), False, id="some memory"),
        pytest.param(["cpu", "memory"], pod({"ephemeral-storage": "1"}), True, id="disk alone"),
        pytest.param(["cpu", "memory"], pod({GPU: "1"}), True, id="a card alone"),
        pytest.param(["cpu", GPU], pod({GPU: "1"}), False, id="a card, where cards count"),
        pytest.param(["cpu", NIC], pod({GPU: "1"}), True, id="where others count"),
        pytest.param(["cpu"], pod({"memory": "1"}), True, id="memory, where only cpu counts"),
        pytest.param(["pods"], pod({"cpu": "1"}), True, id="one pod is no amount of pods"),
        pytest.param(["cpu"], pod({}, overhead={"cpu": "1m"}), False, id="overhead"),
        pytest.param(["cpu"], pod({}, init=[{"cpu": "1m"}]), False, id="an init container"),
        pytest.param(
            ["cpu"], pod({}, resources={"requests": {"cpu": "1m"}}), False, id="pod-level requests"
        ),
    ],
)
def test_who_is_scored_at_all(resources, asked, skipped):
    plugin = NodeResourcesBalancedAllocation(tuple((name, 1) for name in resources))
    cycle = cycle_of(cluster(node(cpu=1_000, memory=1_000, **{GPU: 1, NIC: 1})), asked)
    assert plugin.pre_score(cycle, cycle.rows()) is skipped


@pytest.mark.parametrize(
    ("asked", "weighted"),
    [
        # n0 |0.25 - 0.5| / 2 = 0.125: 87.5, n1 |0.5 - 0.5| / 2; weight 1
        pytest.param(pod({"cpu": "1", "memory": "4"}), [87, 100], id="a pod that asks"),
        pytest.param(pod({}), None, id="a pod that doesn't: no node is better for it"),
    ],
)
def test_in_the_default_profile(asked, weighted):
    state = cluster(node("n0", cpu=4_000, memory=8), node("n1", cpu=2_000, memory=8))
    found = evaluate(Profile.default(), cycle_of(state, asked))
    scores = found.weighted.get(PLUGIN.name)
    assert (None if scores is None else scores.tolist()) == weighted
    assert (PLUGIN.name in found.skip_score) is (weighted is None)


# --- several nodes


def test_each_node_for_itself_in_any_order():
    state = cluster(
        node("n0", cpu=1_000, memory=1_000),
        node("n1", cpu=500, memory=1_000),
        node("n2", cpu=1_000),
        used=[sized(cpu=500)],
    )
    cycle = cycle_of(state, sized(cpu=500))
    # |1 - 0| / 2, |1 - 0| / 2, one share
    assert PLUGIN.score(cycle, cycle.rows()).tolist() == [50, 50, 100]
    state.remove_pod(0)
    # |0.5 - 0| / 2, as before, one share
    assert PLUGIN.score(cycle, cycle.rows()).tolist() == [75, 50, 100]
    assert PLUGIN.score(cycle, np.array([2, 0])).tolist() == [100, 75]
    assert PLUGIN.depends is Depends.NODE
