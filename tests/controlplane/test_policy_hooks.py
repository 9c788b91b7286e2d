"""What a policy is asked around its decision: plugins of one's own, and policies without any."""

from dataclasses import replace

import numpy as np
import pytest

from schedlab.api.objects import ObjectMeta, Pod
from schedlab.api.pods import PodSchedulingGate
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import Code, Permit, Rejection
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.runs import (
    PlainFirstFit,
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
from schedlab.workload.stream import ObjectWrite

SECOND = 1_000_000


def kube(*plugins, **points):
    """Return kube-scheduler with plugins of one's own at the points where they have a method."""
    profile = Profile.default()
    others = {point: tuple(found) for point, found in profile.others.items()}
    for plugin in plugins:
        for point in others:
            if hasattr(plugin, point):
                others[point] += (plugin,)
    others |= points
    filters = profile.filters + tuple(p for p in plugins if hasattr(p, "filter"))
    return KubeScheduler(replace(profile, others=others, filters=filters), tie_break="first")


def named(name, cpu=1_000, **spec):
    template = pod_template(cpu, **spec)
    return template.model_copy(update={"metadata": ObjectMeta(labels={"gang": name})})


class Gang:
    """All pods with the same label ``gang``, or none: they wait for each other."""

    name = "Gang"

    def __init__(self, size, timeout_s=30):
        self.size = size
        self.timeout_us = timeout_s * SECOND

    def concerns(self, state, pod_class):
        return "gang" in pod_class.labels

    def _others(self, state, pod_class):
        mine = pod_class.labels["gang"]
        return [found for found in state.waiting if found.pod_class.labels.get("gang") == mine]

    def permit(self, cycle, row):
        waiting = self._others(cycle.state, cycle.pod_class)
        if len(waiting) + 1 < self.size:
            return Permit.wait(self.timeout_us)
        for other in waiting:
            other.allow(self.name)
        return Permit()

    def reserve(self, cycle, row):
        return None

    def unreserve(self, cycle, row):
        for other in self._others(cycle.state, cycle.pod_class):
            other.reject(self.name, "the gang is not complete")


def test_a_gang_is_bound_when_its_last_pod_has_a_node():
    work = pods_at((0, 10), (3, 10), (7, 10), templates=(named("a"),))
    record = checked(small_run(work, scheduler=kube(Gang(3))))
    assert seconds(record, "decided_us") == [0.0, 3.0, 7.0]
    assert seconds(record, "bound_us") == [7.0, 7.0, 7.0]
    assert texts(record, "verdict", "decisions") == ["waiting", "waiting", "placed"]


def test_waiting_pods_hold_their_nodes():
    work = pods_at(
        (0, 10), (1, 5), (7, 10), templates=(named("a", 2_000), pod_template(3_000)),
        template=(0, 1, 0),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube(Gang(2))))
    # 2 of 4 cpus are held from 0 s on, so that p1 waits until the gang has ended
    assert seconds(record, "bound_us") == [7.0, 17.0, 7.0]


def test_an_incomplete_gang_gives_its_nodes_back():
    work = pods_at(
        (0, 10), (1, 10), (2, 5), templates=(named("a", 2_000), pod_template(3_000)),
        template=(0, 0, 1),
    )  # fmt: skip
    run = small_run(work, scheduler=kube(Gang(3, timeout_s=20)), until_us=24 * SECOND)
    record = checked_until(run)
    # the first gives up at 20 s, and takes the second with it; p2 has their place at once
    assert seconds(record, "bound_us") == [None, None, 20.0]
    assert texts(record, "outcome")[:2] == ["pending", "pending"]
    assert run.schedulers[0].state.waiting.get(0) is None


def checked_until(run):
    """Run up to the time that the run is limited to, with every invariant after each event."""
    while run.calendar.peek() is not None and run.calendar.peek() <= run._until_us and run.step():
        assert not run.violations()
    return run.record()


def test_two_gangs_do_not_mix():
    work = pods_at(
        (0, 10), (1, 10), (2, 10), (3, 10), templates=(named("a"), named("b")),
        template=(0, 1, 0, 1),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube(Gang(2))))
    assert seconds(record, "bound_us") == [2.0, 3.0, 2.0, 3.0]


def test_a_waiting_pod_that_is_deleted_frees_its_node():
    work = pods_at(
        (0, None), (1, 5), templates=(named("a", 3_000), pod_template(3_000)), template=(0, 1),
        delete_us=np.array([4 * SECOND, -1]),
    )  # fmt: skip
    run = small_run(work, scheduler=kube(Gang(2)))
    record = checked(run)
    assert texts(record, "outcome") == ["deleted", "succeeded"]
    assert seconds(record, "bound_us") == [None, 4.0]
    assert len(run.schedulers[0].state.waiting) == 0


def test_a_waiting_pod_that_is_preempted_goes_back_to_the_queue():
    work = pods_at(
        (0, 10), (1, 5), (8, 10), templates=(named("a", 2_000), pod_template(3_000, priority=10)),
        template=(0, 1, 0),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube(Gang(2))))
    # p0 is turned away at 1 s and not deleted: it is asked for again when p1 has ended at 6 s
    assert texts(record, "outcome") == ["succeeded", "succeeded", "succeeded"]
    assert seconds(record, "bound_us") == [8.0, 1.0, 8.0]


def test_no_plugin_holds_a_pod_for_longer_than_15_minutes():
    work = pods_at((0, 10), templates=(named("a"),))
    run = small_run(work, scheduler=kube(Gang(2, timeout_s=3_600)), until_us=901 * SECOND)
    record = checked_until(run)
    assert texts(record, "outcome") == ["pending"]
    assert len(run.schedulers[0].state.waiting) == 0


class Refusing:
    """Refuses pods at one point, the first time."""

    def __init__(self, point):
        self.name = f"Refusing{point}"
        self.calls = []
        setattr(self, point, self._refuse)
        self.point = point

    def _refuse(self, cycle, row):
        self.calls.append((cycle.pod.name, cycle.nodes.names[row]))
        if len(self.calls) > 1:
            return Permit() if self.point == "permit" else None
        no = Rejection(Code.UNSCHEDULABLE, ("not yet",))
        return Permit(no) if self.point == "permit" else no

    def queueing_hint(self, event, pod_class, state):
        return event.name == "AssignedPod/Delete"


@pytest.mark.parametrize("point", ["reserve", "permit", "pre_bind"])
def test_a_pod_that_is_refused_waits_for_what_may_help(point):
    plugin = Refusing(point)
    run = small_run(pods_at((0, 4), (2, 5)), scheduler=kube(plugin))
    record = checked(run)
    # p0 is refused at 0 s; p1 is not, runs from 2 to 7 s, and when it goes p0 is tried again
    assert seconds(record, "bound_us") == [7.0, 2.0]
    assert plugin.calls[0] == ("default/p0", "n0")
    first = texts(record, "verdict", "decisions")[0]
    assert first == ("unschedulable" if point != "pre_bind" else "placed")
    assert run.schedulers[0].state.node_of == {}


class Noting:
    """Takes part in everything, and notes when it is asked."""

    name = "Noting"

    def __init__(self):
        self.seen = []

    def pre_enqueue(self, pod, state):
        self.seen.append("pre_enqueue")

    def reserve(self, cycle, row):
        self.seen.append("reserve")
        cycle.put("noted", row)

    def unreserve(self, cycle, row):
        self.seen.append("unreserve")

    def permit(self, cycle, row):
        assert cycle.memo("noted", lambda: -1) == row  # one cycle from Reserve to PostBind
        self.seen.append("permit")
        return Permit()

    def pre_bind(self, cycle, row):
        self.seen.append("pre_bind")

    def bind(self, cycle, row):
        self.seen.append("bind")
        return False

    def post_bind(self, cycle, row):
        assert cycle.memo("noted", lambda: -1) == row
        self.seen.append("post_bind")


def test_the_order_of_the_points():
    plugin = Noting()
    scheduler = kube(plugin)
    checked(small_run(pods_at((0, 4)), scheduler=scheduler))
    assert plugin.seen == ["pre_enqueue", "reserve", "permit", "pre_bind", "bind", "post_bind"]
    assert scheduler._points._holding == {}


def test_a_binding_that_fails_is_unreserved():
    plugin = Noting()
    config = {"profile": "ideal", "apiserver": {"request": "2s"}}
    work = pods_at((0, None), delete_us=np.array([1_500_000]))
    record = checked(small_run(work, scheduler=kube(plugin), config=config))
    # stored at 2 s and deleted at 3.5 s, while its binding (due at 4 s) is on its way
    assert texts(record, "outcome") == ["deleted"]
    assert plugin.seen[-1] == "unreserve"


class Quota:
    """Lets no more than two pods into the queue and onto nodes at once."""

    name = "Quota"

    def __init__(self):
        self.inside, self.placed = set(), set()

    def pre_enqueue(self, pod, state):
        self.inside -= self.placed - state.node_of.keys()  # those that have ended
        self.placed |= self.inside & state.node_of.keys()
        if len(self.inside - {pod.row}) >= 2:
            return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ("quota",))
        self.inside.add(pod.row)
        return None

    def queueing_hint(self, event, pod_class, state):
        return event.name == "AssignedPod/Delete"


def test_a_plugin_holds_pods_out_of_the_queue():
    nodes = [small_node(cpu=64_000)]
    run = small_run(pods_at(*((i, 10) for i in range(4))), nodes=nodes, scheduler=kube(Quota()))
    record = checked(run)
    # two at a time: p2 and p3 come in when p0 and p1 have ended, at 10 and 11 s
    assert seconds(record, "bound_us") == [0.0, 1.0, 10.0, 11.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 1, 1]


class ShortestFirst:
    """Sorts the queue by the believed duration."""

    name = "ShortestFirst"

    def sort_key(self, pod, since_us):
        return pod.estimated_duration_us, since_us


def test_the_order_of_the_queue_is_a_plugins():
    estimates = np.array([10, 30, 20, 5]) * SECOND
    work = pods_at((0, 10), (0, 30), (0, 20), (0, 5), estimated_duration_us=estimates)
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "1s"}}}
    scheduler = kube(sort_key=(ShortestFirst(),))
    record = checked(small_run(work, scheduler=scheduler, config=config))
    # all are there at 0 s; one decision a second: 5, 10, 20, 30
    assert seconds(record, "decided_us") == [2.0, 4.0, 3.0, 1.0]


GATED = {"scheduling_gates": (PodSchedulingGate(name="example.com/a"),)}


def manifest(**spec):
    template = pod_template(1_000, annotations={"schedlab.io/duration": "5s"}, **spec)
    metadata = template.metadata.model_copy(update={"name": "p"})
    return Pod(metadata=metadata, spec=template.spec)


def updated(found, at):
    return ObjectWrite(round(at * SECOND), "update", found, found.metadata.name)


@pytest.mark.parametrize("scheduler", [kube(), PlainFirstFit()], ids=["kube-scheduler", "policy"])
def test_gates_hold_a_pod_until_they_are_lifted(scheduler):
    work = pods_at(objects=(created(manifest(**GATED)), updated(manifest(), 7)))
    record = checked(small_run(work, scheduler=scheduler))
    assert seconds(record, "bound_us") == [7.0]
    assert record.tables["pods"]["attempts"].tolist() == [1]


def test_a_gated_pod_can_be_deleted():
    pod = manifest(**GATED)
    record = checked(small_run(pods_at(objects=(created(pod), deleted(pod, 3))), scheduler=kube()))
    assert texts(record, "outcome") == ["deleted"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"priority": 5}, id="another priority"),
        pytest.param(
            {"scheduling_gates": (PodSchedulingGate(name="example.com/b"),)}, id="a new gate"
        ),
    ],
)
def test_an_update_lifts_gates_and_changes_nothing_else(change):
    work = pods_at(objects=(created(manifest(**GATED)), updated(manifest(**change), 7)))
    with pytest.raises(InputError, match="fewer schedulingGates, and nothing else changed"):
        small_run(work)


class Careful(PlainFirstFit):
    """A policy without plugins that has hooks of its own."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def permit(self, pod, node, view):
        self.seen.append((pod.name, node))
        return Permit.wait(3 * SECOND) if len(self.seen) == 1 else Permit()


def test_a_policy_of_ones_own_may_have_hooks():
    policy = Careful()
    run = small_run(pods_at((0, 5), (1, 5)), scheduler=policy)
    while run.now_us < SECOND and run.step():
        pass
    (waiting,) = run.schedulers[0].state.waiting
    waiting.allow("")
    record = checked(run)
    assert policy.seen == [("default/p0", 0), ("default/p1", 0)]
    assert texts(record, "outcome") == ["succeeded", "succeeded"]
