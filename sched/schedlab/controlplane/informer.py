"""Informers: how late, and in which order, a component sees what was committed.

A `Watch` is one component's stream from the API server. Entries are delivered in the order of their
revisions, each no earlier than its own latency says; entries that fall due together cost one event.
The component applies an entry to its own projection when it is delivered and never before, so that
a component that lags really sees the past.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from schedlab.cluster.pods import PodLatency
from schedlab.controlplane.etcd import Stored
from schedlab.sim.event_calendar import Calendar, Priority

PodHandler = Callable[[int, int], None]  # (pod row, detail)
ObjectHandler = Callable[[Stored], None]


class Watch:
    """The stream of one component.

    Parameters
    ----------
    calendar : Calendar
        Where deliveries are posted.
    component : str
        Name of the component that watches.
    latency : PodLatency
        Delay of entries about pods.
    object_latency_us : callable
        Delay of an entry about another object, from its version.
    settled : callable, optional
        Called once after the entries of one event have been applied.
    """

    __slots__ = (
        "_calendar",
        "_deliver_id",
        "_entries",
        "_last_due",
        "_latency",
        "_object_latency_us",
        "_posted",
        "_settled",
    )

    def __init__(
        self,
        calendar: Calendar,
        component: str,
        latency: PodLatency,
        object_latency_us: Callable[[Stored], int],
        settled: Callable[[], None] | None = None,
    ) -> None:
        self._calendar = calendar
        self._latency = latency
        self._object_latency_us = object_latency_us
        self._entries: deque[tuple[int, Callable[..., None], int | Stored, int | None]] = deque()
        self._last_due = -1
        self._posted = -1
        self._settled = settled
        self._deliver_id = calendar.register(component, "deliver", self._deliver)

    def push_pod(self, handler: PodHandler, pod: int, detail: int) -> None:
        """Send an entry about a pod on its way."""
        self._push(self._calendar.now_us + self._latency.us(pod), handler, pod, detail)

    def push_object(self, handler: ObjectHandler, stored: Stored) -> None:
        """Send an entry about another object on its way."""
        self._push(self._calendar.now_us + self._object_latency_us(stored), handler, stored, None)

    def _push(
        self, due: int, handler: Callable[..., None], subject: int | Stored, detail: int | None
    ) -> None:
        if due < self._last_due:  # a stream never overtakes itself
            due = self._last_due
        self._last_due = due
        self._entries.append((due, handler, subject, detail))
        if due != self._posted:
            self._posted = due
            self._calendar.post(due, Priority.DELIVERY, self._deliver_id)

    def _deliver(self, _: object) -> None:
        entries, now = self._entries, self._calendar.now_us
        if self._posted <= now:
            self._posted = -1  # what comes for this instant from now on needs an event of its own
        while entries and entries[0][0] <= now:
            _, handler, subject, detail = entries.popleft()
            if detail is None:
                handler(subject)
            else:
                handler(subject, detail)
        if self._settled is not None:
            self._settled()
