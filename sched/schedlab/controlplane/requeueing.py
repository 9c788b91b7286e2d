"""Which unschedulable pods are tried again when something happens.

Every lane of the queue waits for the events that may help with the plugins that rejected its pods
last (`schedlab.scheduling.framework.queueing_hints`). An event goes to the lanes that wait for its
like and to nobody else; with nobody waiting it costs one look-up. What happens while a decision is
being made is kept until the decision is there: it may have come too late for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.scheduling_queue import SchedulingQueue
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import (
    ANY,
    PENDING_ADD,
    POD_ADD,
    ClusterEvent,
    Hint,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.queueing_hints import QueueingHints

Hints = Mapping[str, tuple[Hint, ...]]
Register = Callable[[Pod, frozenset[str] | None], Hints]
"""From a pod and the plugins that rejected it to what may help it, by event."""


def default_hints(state: ClusterState) -> Register:
    """Return what helps pods of a policy that doesn't say, as if default filters rejected them."""
    hints = QueueingHints(Profile.default(), preempts=False)
    return lambda pod, rejected_by: hints.of(pod, rejected_by, state)


def helps(hints: Hints, event: ClusterEvent, priority: int) -> bool:
    """Return whether an event may help a pod of a priority according to any of *hints*."""
    if event.priority is not None and priority > event.priority:
        return False
    return any(hint(event) for name in (event.name, ANY) for hint in hints.get(name, ()))


class Requeueing:
    """The lanes of one queue, and what they wait for.

    Parameters
    ----------
    queue : SchedulingQueue
        The queue.
    pods : PodTable
        All pods of the run.
    register : callable
        Says what may help a pod.
    hear_pods : callable
        Called when a lane first waits for pods to be bound.
    """

    def __init__(
        self,
        queue: SchedulingQueue,
        pods: PodTable,
        register: Register,
        hear_pods: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._pods = pods
        self._register = register
        self._hear_pods = hear_pods
        self._hints: dict[int, Hints] = {}
        self._by_event: dict[str, dict[int, tuple[Hint, ...]]] = {}
        self._gated: dict[int, tuple[Pod, Hints]] = {}
        self._missed: list[ClusterEvent] | None = None  # None where no decision is under way
        self._created: list[int] = []  # pods that were created meanwhile

    def decide(self) -> None:
        """Keep what happens from now on, until `decided`: a decision is under way."""
        if self._missed is None:
            self._missed = []

    def decided(self) -> None:
        """Forget what was kept: all pods of the decision are placed or parked."""
        self._missed = None
        self._created.clear()

    def awaits(self, event: str) -> bool:
        """Return whether an event of this name has to be told at all."""
        return bool(self._missed is not None or self._asked_for(event))

    def _asked_for(self, event: str) -> bool:
        return bool(self._by_event.get(event) or self._by_event.get(ANY) or self._gated)

    def awaits_pending(self, pod: int) -> bool:
        """Return whether the creation of a pod has to be told; noted it is in any case."""
        if self._missed is not None:
            self._created.append(pod)
        return self._asked_for(PENDING_ADD)

    def park(
        self,
        pod: Pod,
        rejected_by: frozenset[str] | None,
        now_us: int,
        *,
        alone: bool = False,
    ) -> None:
        """Let a pod wait for what may help it.

        Parameters
        ----------
        pod : Pod
            Just found unschedulable.
        rejected_by : frozenset of str, optional
            The plugins that rejected it; None = not known.
        now_us : int
            Simulated time.
        alone : bool, default False
            A node is kept for it: it is not like others of its class.
        """
        hints = self._register(pod, rejected_by)
        lane = self._queue.park(pod.row, now_us, alone=alone)
        if self._hints.get(lane) is hints:
            return
        self.forget(lane)
        self._hints[lane] = hints
        for event, found in hints.items():
            self._by_event.setdefault(event, {})[lane] = found
        if POD_ADD in hints or ANY in hints:
            self._hear_pods()

    def overtaken(self, pod: Pod, rejected_by: frozenset[str] | None) -> bool:
        """Return whether something happened while a pod was decided on that may help it."""
        if not self._missed and not self._created:
            return False
        hints = self._register(pod, rejected_by)
        events = list(self._missed or ())
        if ANY in hints or PENDING_ADD in hints:
            classes = (self._pods.class_of(row) for row in self._created)
            events += [ClusterEvent(PENDING_ADD, pod=pod_class) for pod_class in classes]
        return any(helps(hints, event, pod.pod_class.priority) for event in events)

    def forget(self, lane: int) -> None:
        """Stop waiting on behalf of a lane."""
        for event in self._hints.pop(lane, ()):
            lanes = self._by_event[event]
            del lanes[lane]
            if not lanes:
                del self._by_event[event]

    def hold(self, pod: Pod, plugin: str) -> None:
        """Note that a plugin keeps a pod out of the queue: events may change its mind."""
        hints = self._register(pod, frozenset((plugin,)))
        if hints:
            self._gated[pod.row] = (pod, hints)
        if POD_ADD in hints or ANY in hints:
            self._hear_pods()

    def held(self, pod: int) -> bool:
        """Return whether a pod is kept out of the queue."""
        return pod in self._gated

    def release(self, pod: int) -> None:
        """Forget that a pod was kept out of the queue."""
        self._gated.pop(pod, None)

    def happened(self, event: ClusterEvent, now_us: int) -> list[int]:
        """Try the lanes again that an event may help; return the held pods that it may help."""
        if self._missed is not None:
            self._missed.append(event)
        for name in (event.name, ANY):
            lanes = self._by_event.get(name)
            if lanes:
                self._wake(list(lanes.items()), event, now_us)
        return [
            row
            for row, (pod, hints) in self._gated.items()
            if helps(hints, event, pod.pod_class.priority)
        ]

    def _wake(
        self, lanes: list[tuple[int, tuple[Hint, ...]]], event: ClusterEvent, now_us: int
    ) -> None:
        queue, limit = self._queue, event.priority
        for lane, hints in lanes:
            if not queue.has_lane(lane):
                self.forget(lane)
            elif limit is not None and self._priority(lane) > limit:
                continue
            elif any(hint(event) for hint in hints):
                queue.activate(lane, now_us)

    def _priority(self, lane: int) -> int:
        pods = self._pods
        return (pods.classes[lane] if lane >= 0 else pods.class_of(~lane)).priority
