"""SchedulingGates by tables: read them to learn what keeps a pod out of the queue, and how long.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/schedulinggates).
"""

import pytest

from schedlab.api.objects import Pod as PodObject
from schedlab.api.objects import PodSchedulingGate
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_UPDATE,
    PENDING_ADD,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
)
from schedlab.scheduling.framework.interface import POINTS, Code, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.plugins.scheduling_gates import SchedulingGates
from schedlab.testing import (
    checked,
    created,
    deleted,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)
from schedlab.testing.hints import asks, helps, zoned_cluster, zoned_node
from schedlab.units import SECOND
from schedlab.workload.stream import ObjectWrite

PLUGIN = SchedulingGates()


def gated(*names):
    return tuple(PodSchedulingGate(name=name) for name in names)


def answer(gates, nodes=1, priority=0, **spec):
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(nodes):
        state.nodes.add(small_node(f"n{i}"))
    made = pod_template(scheduling_gates=gated(*gates), **spec).spec
    pod_class = state.classes.intern("default", made, priority)
    return PLUGIN.pre_enqueue(Pod(0, pod_class, "default/p", 0, 1, 0, -1), state)


# --- the answer (TestPreEnqueue)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        pytest.param([], None, id="no gate"),
        pytest.param(["a"], "[a]", id="one"),
        pytest.param(["a", "b"], "[a b]", id="two, as Go prints a list"),
        pytest.param(["b", "a"], "[b a]", id="in the pod's order"),
        pytest.param(["a", "b", "c", "d"], "[a b c d]", id="four"),
        pytest.param(["example.com/quota"], "[example.com/quota]", id="a name with its domain"),
        pytest.param(["example.com/a", "a"], "[example.com/a a]", id="with and without a domain"),
        pytest.param(["A", "a"], "[A a]", id="names have their case"),
        pytest.param(["10", "9"], "[10 9]", id="numbers stay in their order as well"),
    ],
)
def test_gates(gates, words):
    expected = words and Rejection(
        Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (f"waiting for scheduling gates: {words}",)
    )
    assert answer(gates) == expected


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({"priority": 2_000_001_000}, id="the highest priority"),
        pytest.param({"nodes": 0}, id="no node for it anyway"),
        pytest.param({"node_selector": {"no": "way"}}, id="no node that matches anyway"),
        pytest.param({"preemption_policy": "Never"}, id="a pod that never preempts"),
        pytest.param({"scheduler_name": "other"}, id="another scheduler's pod"),
    ],
)
def test_nothing_else_counts(pod):
    assert answer([], **pod) is None
    held = answer(["a"], **pod)
    assert held.reasons == ("waiting for scheduling gates: [a]",)


def test_gates_are_its_only_matter():
    assert [point for point in POINTS if hasattr(PLUGIN, point)] == ["pre_enqueue"]
    found = [plugin.name for plugin in Profile.default().plugins("pre_enqueue")]
    assert found[0] == "SchedulingGates"  # upstream asks it before DefaultPreemption


# --- nothing that happens to others lifts a gate


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(ClusterEvent(NODE_ADD, 0, new=zoned_node()), id="a node comes"),
        pytest.param(
            ClusterEvent(NODE_UPDATE, 0, old=zoned_node(cpu=1), new=zoned_node()), id="a node grows"
        ),
        pytest.param(ClusterEvent(POD_ADD, 0), id="a pod is placed"),
        pytest.param(ClusterEvent(POD_DELETE, 0), id="a pod goes"),
        pytest.param(ClusterEvent(PENDING_ADD), id="a pod comes"),
        pytest.param(ClusterEvent("PersistentVolumeClaim/Add"), id="a claim comes"),
    ],
)
def test_what_may_help(event):
    pod = asks(scheduling_gates=gated("a"))
    assert not helps(zoned_cluster("a", "b"), "SchedulingGates", pod, event)


# --- in a run: the pod comes at 0 s, its gates change at the given times


def manifest(*gates):
    template = pod_template(
        1_000, annotations={"schedlab.io/duration": "5s"}, scheduling_gates=gated(*gates)
    )
    metadata = template.metadata.model_copy(update={"name": "p"})
    return PodObject(metadata=metadata, spec=template.spec)


def run_of(first, *changes):
    """Return a run of a pod with gates *first*, then those of each (s, gates); None deletes it."""
    writes = [created(manifest(*first))]
    for at, gates in changes:
        if gates is None:
            writes.append(deleted(manifest(), at))
        else:
            writes.append(ObjectWrite(round(at * SECOND), "update", manifest(*gates), "p"))
    return checked(small_run(pods_at(objects=tuple(writes)), scheduler=KubeScheduler()))


@pytest.mark.parametrize(
    ("first", "changes", "bound", "attempts"),
    [
        pytest.param([], [], 0.0, 1, id="without gates at once"),
        pytest.param(["a"], [], None, 0, id="with one never"),
        pytest.param(["a"], [(7, [])], 7.0, 1, id="as soon as it is lifted"),
        pytest.param(["a", "b"], [(3, ["b"])], None, 0, id="one of two is lifted"),
        pytest.param(["a", "b"], [(3, ["b"]), (7, [])], 7.0, 1, id="the last is lifted later"),
        pytest.param(["a", "b"], [(3, [])], 3.0, 1, id="both at once"),
        pytest.param(
            ["a", "b"], [(3, ["a", "b"]), (7, [])], 7.0, 1, id="an update that lifts none"
        ),
        pytest.param(["a", "b"], [(3, ["b", "a"]), (7, [])], 7.0, 1, id="another order is no lift"),
        pytest.param(
            ["a", "b", "c"], [(1, ["a", "c"]), (2, ["c"]), (4, [])], 4.0, 1, id="from the middle"
        ),
        pytest.param(["a"], [(2, None)], None, 0, id="deleted behind its gate"),
    ],
)
def test_in_a_run(first, changes, bound, attempts):
    record = run_of(first, *changes)
    assert seconds(record, "bound_us") == [bound]
    assert record.tables["pods"]["attempts"].tolist() == [attempts]
    gone = bool(changes) and changes[-1][1] is None
    ended = "deleted" if gone else "pending" if bound is None else "succeeded"
    assert texts(record, "outcome") == [ended]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param([], ["a"], id="to a pod without any"),
        pytest.param(["a"], ["a", "b"], id="beside another"),
        pytest.param(["a"], ["b"], id="in place of another"),
    ],
)
def test_gates_come_with_the_pod_and_never_later(first, then):
    with pytest.raises(InputError, match="fewer schedulingGates, and nothing else changed"):
        run_of(first, (2, then))
