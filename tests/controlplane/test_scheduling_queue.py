"""The order in which the queue gives pods out, held to a plain sort."""

from hypothesis import given
from hypothesis import strategies as st

from schedlab.api.objects import Container, PodSpec
from schedlab.cluster import ClassTable
from schedlab.cluster.pods import PodTable
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.scheduling_queue import SchedulingQueue

PRIORITIES = (0, 7, 1_000)
SECOND = 1_000_000


def queue_of(priorities):
    """Return an empty queue for pods of these priorities, which is what tells their classes."""
    classes = ClassTable(ResourceNames())
    spec = PodSpec(containers=(Container(name="c"),))
    by_priority = {p: classes.intern("default", spec, p).id for p in PRIORITIES}
    pods = PodTable(classes)
    for i, priority in enumerate(priorities):
        pods.add(
            f"default/{i}", pod_class=by_priority[priority], item=0, replica=i, incarnation=0,
            key=i, duration_us=-1, estimate_us=-1, owner=-1,
        )  # fmt: skip
    return SchedulingQueue(pods, SECOND, 10 * SECOND, pop_from_backoff=False)


@given(
    pods=st.lists(st.tuples(st.sampled_from(PRIORITIES), st.integers(0, 9)), max_size=30),
    gone=st.sets(st.integers(0, 29)),
    early=st.integers(0, 30),
)
def test_pods_come_by_priority_then_time_then_arrival(pods, gone, early):
    queue = queue_of([priority for priority, _ in pods])
    for pod, (_, since) in enumerate(pods):
        queue.add(pod, since)
    for pod in gone & set(range(len(pods))):
        queue.leave(pod, 9)
    expected = sorted(
        set(range(len(pods))) - gone, key=lambda pod: (-pods[pod][0], pods[pod][1], pod)
    )
    assert queue.counts["active"] == len(expected)
    assert [queue.pop(9) for _ in range(min(early, len(expected)))] == expected[:early]
    assert [queue.pop(9) for _ in expected[early:]] == expected[early:]
    assert queue.pop(9) == -1
    assert queue.counts["active"] == 0


def test_a_pod_that_waited_in_its_lane_goes_before_pods_that_came_after_it():
    queue = queue_of([0, 7, 0])
    queue.add(0, 0)
    assert queue.pop(0) == 0
    queue.park(0, 5)
    queue.add(1, 2 * SECOND)
    queue.add(2, 2 * SECOND)
    queue.activate(0, 2 * SECOND)  # class of pod 0: its backoff, 1 s from 5 us on, is over
    # pod 1 has the higher priority; pod 0 came back to the queue at 5 us, pod 2 at 2 s
    assert [queue.pop(2 * SECOND) for _ in range(4)] == [1, 0, 2, -1]
    assert queue.empty


def test_a_backoff_ends_in_front_of_what_came_later():
    queue = queue_of([0, 0])
    queue.add(0, 0)
    assert queue.pop(0) == 0
    queue.back_off(0, 0)
    queue.add(1, SECOND // 2)
    assert queue.pop(SECOND // 2) == 1
    assert queue.pop(SECOND - 1) == -1
    assert not queue.empty
    assert queue.pop(SECOND) == 0
