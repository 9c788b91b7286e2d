"""PrioritySort by tables: read them to learn which pod is taken from the queue first.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/queuesort). A pod goes
first whose priority is higher, and of equals the one that came to the queue earlier.
"""

import itertools

import pytest

from schedlab.cluster import ClassTable, ResourceNames
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.scheduling_queue import SchedulingQueue
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.priority_sort import PrioritySort
from schedlab.testing import checked, pod_template, pods_at, seconds, small_run

PLUGIN = PrioritySort()
SECOND = 1_000_000
NODE_CRITICAL, CLUSTER_CRITICAL = 2_000_001_000, 2_000_000_000  # system-{node,cluster}-critical
MOST, LEAST = 2**31 - 1, -(2**31)


def table(priorities):
    """Return pods p0, p1, ... of these priorities."""
    classes = ClassTable(ResourceNames())
    found = PodTable(classes)
    for i, priority in enumerate(priorities):
        pod_class = classes.intern("default", pod_template().spec, priority).id
        found.add(
            f"default/p{i}", pod_class=pod_class, item=0, replica=i, incarnation=0, key=i,
            duration_us=-1, estimate_us=-1, owner=-1,
        )  # fmt: skip
    return found


def keys(pods):
    """Return the keys of pods, given as (priority, when they came in us)."""
    found = table([priority for priority, _ in pods])
    return [
        PLUGIN.sort_key(
            Pod(i, found.classes[found.pod_class[i]], found.names[i], i, 1, 0, -1), since
        )
        for i, (_, since) in enumerate(pods)
    ]


def taken(pods, order=None):
    """Return the order in which a queue without a key of its own gives pods out.

    They are put in by *order*, else as they stand.
    """
    queue = SchedulingQueue(
        table([priority for priority, _ in pods]), SECOND, SECOND, pop_from_backoff=False
    )
    for pod in range(len(pods)) if order is None else order:
        queue.add(pod, pods[pod][1])
    return [queue.pop(10**15) for _ in pods]


# --- two pods (TestLess)


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        # priorities
        pytest.param((100, 5), (50, 0), True, id="the higher priority, though it came later"),
        pytest.param((50, 0), (100, 5), False, id="the lower priority, though it came first"),
        pytest.param((100, 0), (50, 5), True, id="the higher priority, and it came first"),
        pytest.param((100, 3), (50, 3), True, id="the higher priority, at the same time"),
        pytest.param((50, 3), (100, 3), False, id="the lower priority, at the same time"),
        pytest.param((1, 10**15), (0, 0), True, id="by one, thirty years later"),
        pytest.param((0, 0), (0, 10**15), True, id="thirty years between equals"),
        pytest.param((0, 0), (-10, 0), True, id="priorities may be negative"),
        pytest.param((-10, 0), (0, 5), False, id="less than none"),
        pytest.param((-1, 9), (-2, 0), True, id="less negative is more"),
        pytest.param((-5, 1), (-5, 2), True, id="equals below zero"),
        pytest.param((9, 0), (10, 0), False, id="9 < 10, by number and not by text"),
        pytest.param((100, 0), (99, 0), True, id="100 > 99"),
        # the ends of what a priority can be
        pytest.param((MOST, 9), (MOST - 1, 0), True, id="the most there is"),
        pytest.param((LEAST, 0), (LEAST + 1, 9), False, id="the least there is"),
        pytest.param((MOST, 9), (LEAST, 0), True, id="their difference doesn't overflow"),
        pytest.param((LEAST, 0), (0, 9), False, id="neither does its negative"),
        pytest.param((NODE_CRITICAL, 9), (CLUSTER_CRITICAL, 0), True, id="node before cluster"),
        pytest.param((CLUSTER_CRITICAL, 9), (1_000_000_000, 0), True, id="above all users' own"),
        # times
        pytest.param((50, 1), (50, 2), True, id="the same priority: who came first"),
        pytest.param((50, 2), (50, 1), False, id="the same priority: who came last"),
        pytest.param((0, 0), (0, 1), True, id="without priorities, by a microsecond"),
        pytest.param((0, 1), (0, 0), False, id="and the other way round"),
        pytest.param((MOST, 1), (MOST, 2), True, id="equals at the top"),
        pytest.param((LEAST, 2), (LEAST, 1), False, id="equals at the bottom"),
        pytest.param((0, 999_999), (0, 1_000_000), True, id="six digits before seven"),
        # neither
        pytest.param((50, 1), (50, 1), False, id="neither is first"),
        pytest.param((0, 0), (0, 0), False, id="neither of two zeros"),
        pytest.param((MOST, 10**15), (MOST, 10**15), False, id="neither of two giants"),
        pytest.param((LEAST, 3), (LEAST, 3), False, id="neither of two least"),
    ],
)
def test_who_goes_first(one, other, first):
    mine, theirs = keys([one, other])
    assert (mine < theirs) is first
    if mine != theirs:  # the queue's own lines tell the same, whoever was put in first
        assert (taken([one, other]) == taken([one, other], [1, 0]) == [0, 1]) is first
    else:
        assert taken([one, other]) == [0, 1]  # of twins, the one that was put in first


# --- a queue


@pytest.mark.parametrize(
    ("pods", "order"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([(0, 0)], [0], id="one"),
        pytest.param([(0, 0), (0, 1), (0, 2)], [0, 1, 2], id="by time"),
        pytest.param([(0, 2), (0, 1), (0, 0)], [2, 1, 0], id="by time, not as they stand"),
        pytest.param([(0, 0), (1, 0), (2, 0)], [2, 1, 0], id="by priority"),
        pytest.param([(0, 0), (1, 0), (0, 1), (1, 1)], [1, 3, 0, 2], id="by priority, then time"),
        pytest.param([(1, 3), (0, 0), (1, 1), (0, 2)], [2, 0, 1, 3], id="each priority by time"),
        pytest.param(
            [(-1, 0), (5, 9), (0, 4), (0, 3)], [1, 3, 2, 0], id="negative ones at the end"
        ),
        pytest.param(
            [(0, 0), (CLUSTER_CRITICAL, 8), (NODE_CRITICAL, 9)], [2, 1, 0], id="system pods first"
        ),
    ],
)
def test_a_queue(pods, order):
    found = keys(pods)
    assert sorted(range(len(pods)), key=lambda i: found[i]) == order
    for put_in in itertools.permutations(range(len(pods))):
        assert taken(pods, put_in) == order


@pytest.mark.parametrize(
    ("pods", "decided"),
    [
        # (arrival in s, priority); a decision takes 1 s, and is not broken off
        pytest.param([(0, 0), (0, 0), (0, 0)], [1, 2, 3], id="equals: in their order"),
        pytest.param([(0, 0), (0, 5), (0, 9)], [3, 2, 1], id="the highest first"),
        pytest.param([(0, 0), (0.5, 9)], [1, 2], id="a late one finds a decision begun"),
        pytest.param([(0, 0), (0, 0), (0.5, 9)], [1, 3, 2], id="and goes before all that wait"),
        pytest.param([(0, 5), (0.5, 0), (0.6, 5), (0.7, 9)], [1, 4, 3, 2], id="all that wait"),
        pytest.param([(0, -5), (0, 0), (0, -1)], [3, 1, 2], id="negative ones wait longest"),
    ],
)
def test_in_a_run(pods, decided):
    levels = sorted({priority for _, priority in pods})
    work = pods_at(
        *((at, None) for at, _ in pods),
        templates=tuple(pod_template(100, priority=priority) for priority in levels),
        template=[levels.index(priority) for _, priority in pods],
    )
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "1s"}}}
    assert seconds(checked(small_run(work, config=config)), "decided_us") == decided


def test_it_is_the_order_of_the_default_profile():
    (plugin,) = Profile.default().plugins("sort_key")
    assert isinstance(plugin, PrioritySort)
