"""NodeResourcesFit's filter by tables: read them to learn what fits on a node.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/noderesources). A pod
fits where allocatable - requested >= what it asks for, of each resource that it asks for. Plain
numbers are milli-cores and bytes; quantities are written as in a manifest.
"""

import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import PodSpec
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.cluster_events import NODE_ADD, NODE_UPDATE, ClusterEvent
from schedlab.scheduling.framework.evaluation import evaluate, evaluate_filters
from schedlab.scheduling.framework.interface import GO_ON, Code, Cycle, Depends, prepared
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_resources_fit import FitArgs, NodeResourcesFit
from schedlab.testing import small_node
from schedlab.testing.hints import asks, gone, helps, zoned_cluster, zoned_node

PROFILE = Profile.default()
PLUGIN = NodeResourcesFit()
CPU, MEMORY, DISK = "Insufficient cpu", "Insufficient memory", "Insufficient ephemeral-storage"
FPGA, NIC = "example.com/fpga", "example.com/nic"
HUGE, BATCH = "hugepages-2Mi", "kubernetes.io/batch-cpu"
TOO_MANY = "Too many pods"


def node(name="n0", *, pods=110, **offers):
    """Return a node that has what *offers* says, ``cpu=..., memory=...``, and nothing else."""
    found = small_node(name)
    status = found.status.model_copy(update={"allocatable": Amounts({**offers, "pods": pods})})
    return found.model_copy(update={"status": status})


def cluster(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for found in nodes:
        state.nodes.add(found)
    return state


def pod_class(state, requests, priority=0):
    """Return the class of pods of one container with these canonical amounts."""
    spec = PodSpec.model_validate({"containers": [{"name": "c"}]})
    container = spec.containers[0]
    sized = container.resources.model_copy(update={"requests": Amounts(requests)})
    container = container.model_copy(update={"resources": sized})
    spec = spec.model_copy(update={"containers": (container,)})
    return state.classes.intern("default", spec, priority)


def verdicts(state, pod, plugin=PLUGIN):
    """Return (status, reasons) of each node; status 0 where the pod fits."""
    state.nodes.reserve_resources()
    cycle = Cycle(state, pod)
    found = []
    for row, code in zip(cycle.rows(), plugin.filter(cycle, cycle.rows()).tolist(), strict=True):
        reasons = plugin.reasons(cycle, row, code) if code else ()
        found.append((plugin.status(cycle, row, code) if code else Code.SUCCESS, reasons))
    return found


def why_not(offers, used, asked, args=None):
    """Return why a pod does not fit on one node, () where it does."""
    state = cluster(node(**offers))
    for i, requests in enumerate(used):
        state.add_pod(i, pod_class(state, requests), 0)
    pod = pod_class(state, asked)
    ((_, reasons),) = verdicts(state, pod, NodeResourcesFit(args))
    if args is None:
        assert state.nodes.fits(0, pod.requests) is (not reasons)
    return reasons


# --- cpu and memory (TestEnoughRequests): a node of 10 milli-cores and 20 bytes


@pytest.mark.parametrize(
    ("used", "asked", "reasons"),
    [
        pytest.param((0, 0), (0, 0), (), id="nothing asked, nothing used"),
        pytest.param((10, 20), (0, 0), (), id="nothing asked of a full node"),
        pytest.param((0, 0), (10, 20), (), id="exactly the whole node"),
        pytest.param((0, 0), (11, 20), (CPU,), id="one core too many"),
        pytest.param((0, 0), (10, 21), (MEMORY,), id="one byte too many"),
        pytest.param((5, 19), (1, 1), (), id="5 + 1 <= 10, 19 + 1 <= 20"),
        pytest.param((5, 19), (5, 1), (), id="5 + 5 = 10, 19 + 1 = 20"),
        pytest.param((9, 19), (2, 1), (CPU,), id="9 + 2 > 10"),
        pytest.param((5, 19), (1, 2), (MEMORY,), id="19 + 2 > 20"),
        pytest.param((10, 20), (1, 1), (CPU, MEMORY), id="both are full"),
        pytest.param((10, 0), (0, 20), (), id="a full cpu does not matter to a pod without cpu"),
        pytest.param((0, 20), (10, 0), (), id="nor full memory to one without memory"),
        # pods that were there before the node shrank: 15 > 10
        pytest.param((15, 5), (0, 1), (), id="what is overcommitted is not asked for"),
        pytest.param((15, 5), (1, 1), (CPU,), id="10 - 15 = -5 < 1"),
        pytest.param((15, 25), (1, 1), (CPU, MEMORY), id="10 - 15 < 1, 20 - 25 < 1"),
        pytest.param((15, 25), (0, 0), (), id="nothing asked of an overcommitted node"),
    ],
)
def test_what_fits(used, asked, reasons):
    used, asked = (dict(zip(("cpu", "memory"), pair, strict=True)) for pair in (used, asked))
    assert why_not({"cpu": 10, "memory": 20}, [used], asked) == reasons


# --- other resources


@pytest.mark.parametrize(
    ("offers", "used", "asked", "reasons"),
    [
        pytest.param({"ephemeral-storage": 9}, [], {"ephemeral-storage": 9}, (), id="all the disk"),
        pytest.param(
            {"ephemeral-storage": 9},
            [{"ephemeral-storage": 4}, {"ephemeral-storage": 4}],
            {"ephemeral-storage": 2},
            (DISK,),
            id="4 + 4 + 2 > 9 bytes of disk",
        ),
        pytest.param({}, [], {"ephemeral-storage": 1}, (DISK,), id="no disk at all"),
        pytest.param({FPGA: 2}, [{FPGA: 1}], {FPGA: 1}, (), id="1 + 1 = 2 extended ones"),
        pytest.param(
            {FPGA: 2}, [{FPGA: 1}], {FPGA: 2}, (f"Insufficient {FPGA}",), id="1 + 2 > 2 of them"
        ),
        pytest.param({}, [], {FPGA: 1}, (f"Insufficient {FPGA}",), id="one that no node has"),
        pytest.param({}, [], {FPGA: 0}, (), id="none of one that no node has"),
        pytest.param({FPGA: 0}, [], {FPGA: 1}, (f"Insufficient {FPGA}",), id="a node with none"),
        pytest.param({FPGA: 0}, [], {FPGA: 0}, (), id="none of none"),
        pytest.param(
            {FPGA: 9}, [], {NIC: 1}, (f"Insufficient {NIC}",), id="another of the same domain"
        ),
        pytest.param({HUGE: 8}, [{HUGE: 4}], {HUGE: 4}, (), id="4 + 4 = 8 bytes of huge pages"),
        pytest.param(
            {HUGE: 8}, [{HUGE: 5}], {HUGE: 4}, (f"Insufficient {HUGE}",), id="5 + 4 > 8 of them"
        ),
        pytest.param(
            {"hugepages-1Gi": 8},
            [],
            {HUGE: 4},
            (f"Insufficient {HUGE}",),
            id="pages of another size",
        ),
        pytest.param({BATCH: 5}, [], {BATCH: 6}, (f"Insufficient {BATCH}",), id="kubernetes.io/"),
        # the reasons of a node are sorted
        pytest.param(
            {},
            [],
            {"cpu": 1, "memory": 1, "ephemeral-storage": 1, FPGA: 1, HUGE: 1},
            (CPU, DISK, f"Insufficient {FPGA}", f"Insufficient {HUGE}", MEMORY),
            id="nothing of anything",
        ),
        pytest.param({}, [], {}, (), id="nothing of anything for a pod that asks for nothing"),
        pytest.param(
            {"cpu": 0, "memory": 0}, [], {"cpu": 0, "memory": 0}, (), id="explicit zeros fit always"
        ),
        pytest.param({"cpu": 2**62}, [{"cpu": 2**61}], {"cpu": 2**61}, (), id="2^61 + 2^61 = 2^62"),
        pytest.param(
            {"cpu": 2**62},
            [{"cpu": 2**61}],
            {"cpu": 2**61 + 1},
            (CPU,),
            id="and one more is too much",
        ),
    ],
)
def test_other_resources(offers, used, asked, reasons):
    assert why_not(offers, used, asked) == reasons


# --- how much a pod asks for: the least cpu of a node that it fits on, in milli-cores


def asking(*containers, init=(), **spec):
    """Return a pod spec; containers are given by their cpu, "" = none, "+" before it = sidecar."""

    def made(kind, sizes):
        for i, size in enumerate(sizes):
            requests = {"cpu": size.lstrip("+")} if size else {}
            found = {"name": f"{kind}{i}", "resources": {"requests": requests}}
            yield {**found, "restartPolicy": "Always"} if size[:1] == "+" else found

    groups = {"containers": [*made("c", containers)], "initContainers": [*made("i", init)]}
    return PodSpec.model_validate({**groups, **spec}, by_name=False)


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        pytest.param(asking(""), 0, id="nothing: the defaults of the score don't count here"),
        pytest.param(asking("1"), 1_000, id="one container"),
        pytest.param(asking("100m"), 100, id="a tenth of a core"),
        pytest.param(asking("0.0001"), 1, id="less than a milli-core is one"),
        pytest.param(asking("1", "500m", ""), 1_500, id="1000 + 500 + 0"),
        # init containers run one after the other, before the others
        pytest.param(asking("1", init=["3"]), 3_000, id="max(1000, 3000)"),
        pytest.param(asking("3", init=["1"]), 3_000, id="max(3000, 1000)"),
        pytest.param(asking("1", init=["2", "2", "2"]), 2_000, id="max(1000, 2000, 2000, 2000)"),
        pytest.param(asking("1", "1", init=["1500m"]), 2_000, id="max(1000 + 1000, 1500)"),
        # sidecars go on running: they add to what starts after them
        pytest.param(asking("1", init=["+2"]), 3_000, id="1000 + 2000"),
        pytest.param(asking("1", init=["+2", "4"]), 6_000, id="max(1000 + 2000, 2000 + 4000)"),
        pytest.param(asking("1", init=["4", "+2"]), 4_000, id="max(1000 + 2000, 4000)"),
        pytest.param(asking("3", init=["4", "+2"]), 5_000, id="max(3000 + 2000, 4000)"),
        pytest.param(asking("1", init=["+1", "3", "+1", "2"]), 4_000, id="max(1+2, 1+3, 2+2)"),
        pytest.param(asking("", init=["+1", "+1"]), 2_000, id="two sidecars and nothing else"),
        # overhead comes on top of whatever is larger
        pytest.param(asking("1", overhead={"cpu": "250m"}), 1_250, id="1000 + 250"),
        pytest.param(asking("1", init=["2"], overhead={"cpu": "250m"}), 2_250, id="2000 + 250"),
        pytest.param(asking("", overhead={"cpu": "250m"}), 250, id="overhead alone"),
        pytest.param(asking("1", overhead={"memory": "1"}), 1_000, id="overhead of another kind"),
        # pod-level requests take the place of the sum
        pytest.param(asking("", resources={"requests": {"cpu": "2"}}), 2_000, id="pod-level"),
        pytest.param(
            asking("1", "500m", resources={"requests": {"cpu": "2"}}), 2_000, id="2000, not 1500"
        ),
        pytest.param(
            asking("1", init=["1500m"], resources={"requests": {"cpu": "2"}}),
            2_000,
            id="2000, not max(1000, 1500)",
        ),
        pytest.param(
            asking("1", resources={"requests": {"cpu": "2"}}, overhead={"cpu": "1"}),
            3_000,
            id="2000 + 1000: overhead comes on top of it, too",
        ),
        pytest.param(
            asking("1", resources={"requests": {"memory": "1Gi"}}),
            1_000,
            id="pod-level memory only",
        ),
    ],
)
def test_how_much_a_pod_asks_for(spec, least):
    much = 1 << 40
    sizes = [least, least - 1] if least else [0]
    state = cluster(*(node(f"n{cpu}", cpu=cpu, memory=much) for cpu in sizes))
    found = [reasons for _, reasons in verdicts(state, state.classes.intern("default", spec, 0))]
    assert found == [(), (CPU,)][: len(sizes)]


# --- arguments: extended resources that it leaves to others


@pytest.mark.parametrize(
    ("ignored", "groups", "asked", "reasons"),
    [
        pytest.param([], [], {FPGA: 1}, (f"Insufficient {FPGA}",), id="an extended resource"),
        pytest.param([FPGA], [], {FPGA: 1}, (), id="ignored by name"),
        pytest.param([NIC], [], {FPGA: 1}, (f"Insufficient {FPGA}",), id="another is ignored"),
        pytest.param([FPGA], [], {FPGA: 1, NIC: 1}, (f"Insufficient {NIC}",), id="one of two"),
        pytest.param([FPGA, NIC], [], {FPGA: 1, NIC: 1}, (), id="both by name"),
        pytest.param([], ["example.com"], {FPGA: 1}, (), id="by its group"),
        pytest.param([], ["example.com"], {FPGA: 1, NIC: 1}, (), id="both by their group"),
        pytest.param([], ["other.com"], {FPGA: 1}, (f"Insufficient {FPGA}",), id="another group"),
        pytest.param([], ["com"], {FPGA: 1}, (f"Insufficient {FPGA}",), id="no end of a group"),
        pytest.param(
            [], ["example"], {FPGA: 1}, (f"Insufficient {FPGA}",), id="no beginning of a group"
        ),
        pytest.param(["example.com"], [], {FPGA: 1}, (f"Insufficient {FPGA}",), id="no resource"),
        # Kubernetes' own resources can't be left out
        pytest.param(["cpu"], ["cpu"], {"cpu": 1}, (CPU,), id="not cpu"),
        pytest.param(["memory"], ["memory"], {"memory": 1}, (MEMORY,), id="not memory"),
        pytest.param(
            ["ephemeral-storage"], [], {"ephemeral-storage": 1}, (DISK,), id="not the disk"
        ),
        pytest.param([HUGE], [HUGE], {HUGE: 1}, (f"Insufficient {HUGE}",), id="not huge pages"),
        pytest.param(
            [BATCH],
            ["kubernetes.io"],
            {BATCH: 1},
            (f"Insufficient {BATCH}",),
            id="nothing of kubernetes.io",
        ),
        pytest.param(
            [], ["x.kubernetes.io"], {"x.kubernetes.io/a": 1},
            ("Insufficient x.kubernetes.io/a",), id="nor below it",
        ),
    ],
)  # fmt: skip
def test_what_it_leaves_to_others(ignored, groups, asked, reasons):
    args = FitArgs(ignored=frozenset(ignored), ignored_groups=frozenset(groups))
    assert why_not({}, [], asked, args) == reasons


def test_what_is_ignored_is_taken_all_the_same():
    args = FitArgs(ignored=frozenset({FPGA}))
    state = cluster(node(**{FPGA: 1}))
    for pod in range(3):
        state.add_pod(pod, pod_class(state, {FPGA: 1}), 0)  # 3 of 1
    assert verdicts(state, pod_class(state, {FPGA: 1}), NodeResourcesFit(args)) == [
        (Code.SUCCESS, ())
    ]
    assert verdicts(state, pod_class(state, {FPGA: 1}))[0][1] == (f"Insufficient {FPGA}",)


# --- the number of pods


@pytest.mark.parametrize(
    ("most", "there", "asked", "reasons"),
    [
        pytest.param(2, 0, {}, (), id="0 + 1 <= 2"),
        pytest.param(2, 1, {}, (), id="1 + 1 <= 2"),
        pytest.param(2, 2, {}, (TOO_MANY,), id="2 + 1 > 2, though it asks for nothing"),
        pytest.param(1, 1, {"cpu": 1}, (TOO_MANY,), id="1 + 1 > 1, though there is cpu"),
        pytest.param(0, 0, {}, (TOO_MANY,), id="a node for no pods"),
        pytest.param(1, 3, {}, (TOO_MANY,), id="a node that shrank: 3 + 1 > 1"),
        pytest.param(1, 1, {"cpu": 99}, (CPU, TOO_MANY), id="too many, and too large"),
        pytest.param(
            1, 1, {FPGA: 1}, (f"Insufficient {FPGA}", TOO_MANY), id="and without its card"
        ),
    ],
)
def test_how_many_pods(most, there, asked, reasons):
    state = cluster(node(cpu=10, pods=most))
    for pod in range(there):
        state.add_pod(pod, pod_class(state, {}), 0)
    ((status, found),) = verdicts(state, pod_class(state, asked))
    assert found == reasons
    if reasons == (TOO_MANY,):  # fewer pods would do, even on a node for no pods at all
        assert status is Code.UNSCHEDULABLE


# --- whether evictions could help


@pytest.mark.parametrize(
    ("offers", "used", "asked", "status"),
    [
        pytest.param({"cpu": 4}, {"cpu": 2}, {"cpu": 2}, Code.SUCCESS, id="2 + 2 <= 4"),
        pytest.param(
            {"cpu": 4}, {"cpu": 2}, {"cpu": 3}, Code.UNSCHEDULABLE, id="3 <= 4: they could"
        ),
        pytest.param(
            {"cpu": 4}, {"cpu": 2}, {"cpu": 4}, Code.UNSCHEDULABLE, id="4 <= 4: all of them"
        ),
        pytest.param(
            {"cpu": 4}, {"cpu": 2}, {"cpu": 5}, Code.UNSCHEDULABLE_AND_UNRESOLVABLE, id="5 > 4"
        ),
        pytest.param(
            {"cpu": 4},
            {},
            {"cpu": 5},
            Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
            id="an empty node, 5 > 4",
        ),
        pytest.param(
            {"cpu": 4, "memory": 4},
            {"cpu": 4, "memory": 4},
            {"cpu": 1, "memory": 5},
            Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
            id="cpu could be freed, memory not",
        ),
        pytest.param(
            {"cpu": 4, "memory": 4},
            {"cpu": 4, "memory": 4},
            {"cpu": 1, "memory": 4},
            Code.UNSCHEDULABLE,
            id="both could be freed",
        ),
        pytest.param(
            {}, {}, {FPGA: 1}, Code.UNSCHEDULABLE_AND_UNRESOLVABLE, id="it has no such card"
        ),
        pytest.param({FPGA: 1}, {FPGA: 1}, {FPGA: 1}, Code.UNSCHEDULABLE, id="its card is in use"),
        pytest.param(
            {"ephemeral-storage": 4},
            {"ephemeral-storage": 1},
            {"ephemeral-storage": 5},
            Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
            id="its disk is too small",
        ),
        pytest.param(
            {"cpu": 4}, {"cpu": 9}, {"cpu": 4}, Code.UNSCHEDULABLE, id="overcommitted, 4 <= 4"
        ),
    ],
)
def test_whether_evictions_could_help(offers, used, asked, status):
    state = cluster(node(**offers))
    state.add_pod(0, pod_class(state, used), 0)
    ((found, _),) = verdicts(state, pod_class(state, asked))
    assert found is status


def test_what_is_ignored_does_not_make_it_hopeless():
    plugin = NodeResourcesFit(FitArgs(ignored=frozenset({FPGA})))
    state = cluster(node(cpu=4))
    state.add_pod(0, pod_class(state, {"cpu": 4}), 0)
    pod = pod_class(state, {"cpu": 1, FPGA: 1})
    assert verdicts(state, pod, plugin) == [(Code.UNSCHEDULABLE, (CPU,))]


# --- the message, and a pod that goes


def test_the_words_are_upstreams():
    state = cluster(
        node("n0", cpu=1, memory=9),
        node("n1", cpu=1, memory=1),
        node("n2", cpu=9, memory=9, pods=0),
    )
    cycle = Cycle(state, pod_class(state, {"cpu": 2, "memory": 2}))
    assert evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters) == (
        "0/3 nodes are available: 1 Insufficient memory, 1 Too many pods, 2 Insufficient cpu."
    )


def test_what_a_pod_had_is_free_when_it_has_gone():
    state = cluster(node(cpu=10))
    state.add_pod(0, pod_class(state, {"cpu": 6}), 0)
    pod = pod_class(state, {"cpu": 5})
    assert verdicts(state, pod)[0][1] == (CPU,)  # 6 + 5 > 10
    state.remove_pod(0)
    assert verdicts(state, pod)[0][1] == ()


def test_it_is_always_asked():
    state = cluster(node(cpu=1))
    cycle = Cycle(state, pod_class(state, {}))
    assert prepared(PLUGIN, cycle) == GO_ON  # a pod that asks for nothing is one more pod
    assert PLUGIN.depends is Depends.NODE
    assert "NodeResourcesFit" in evaluate(PROFILE, cycle).raw


# --- what may help a pod of 3 cpus that it rejected; nodes n0 and n1 have 4


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(None, zoned_node("n2", cpu=3_000), True, id="a node as large as the pod"),
        pytest.param(None, zoned_node("n2", cpu=2_999), False, id="a node a bit too small"),
        pytest.param(zoned_node("n2", cpu=2_000), zoned_node("n2", cpu=3_000), True, id="it grows"),
        pytest.param(
            zoned_node("n2", cpu=1_000),
            zoned_node("n2", cpu=2_000),
            False,
            id="it grows too little",
        ),
        pytest.param(
            zoned_node("n2"), zoned_node("n2", disk="ssd"), False, id="a label is no resource"
        ),
        pytest.param(
            node("n2", cpu=4_000, pods=0), node("n2", cpu=4_000, pods=1), True, id="room for a pod"
        ),
        pytest.param(
            node("n2", cpu=4_000, memory=1),
            node("n2", cpu=4_000, memory=2),
            False,
            id="memory, of which it asks for none",
        ),
    ],
)
def test_nodes_that_may_help(old, new, expected):
    state = zoned_cluster("a", "b")
    event = ClusterEvent(
        NODE_ADD if old is None else NODE_UPDATE, state.nodes.add(new), old=old, new=new
    )
    assert helps(state, "NodeResourcesFit", asks(cpu=3_000), event) is expected


@pytest.mark.parametrize(
    ("stay", "expected"),
    [
        pytest.param(0, True, id="4 - 0 >= 3"),
        pytest.param(1_000, True, id="4 - 1 >= 3"),
        pytest.param(1_001, False, id="4 - 1.001 < 3"),
        pytest.param(4_000, False, id="4 - 4 < 3"),
    ],
)
def test_pods_that_go_may_help(stay, expected):
    state = zoned_cluster("a", "b", pods=[(0, asks(cpu=stay))])
    event = gone(state, asks(cpu=500))
    assert helps(state, "NodeResourcesFit", asks(cpu=3_000), event) is expected
