"""The calendar of events: a total order of (time, priority, sequence) and the clock.

An entry is data: ``(time_us, priority, sequence, handler, argument)`` where *handler* is the number
that `Calendar.register` gave to a component's method and *argument* an int or a tuple of ints.
Entries can therefore be written to a checkpoint, compared and digested. Callables in the heap were
rejected for that reason; a dataclass per entry costs four times as much as a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

Argument = Any  # an int or a (nested) tuple of ints and strings: whatever can be digested
Handler = Callable[[Any], None]


class Priority:
    """Order of events at one instant: what frees comes before what adds, what is decided last."""

    REMOVAL: Final = 0
    """Removals and finishes."""
    NODE: Final = 1
    """Node additions."""
    WRITE: Final = 2
    """Commits of objects."""
    DELIVERY: Final = 3
    """Watch deliveries to informers."""
    ARRIVAL: Final = 4
    """Requests of clients and controllers."""
    QUEUE: Final = 5
    """Moves between the scheduler's queues."""
    SCHEDULE: Final = 6
    """Scheduling cycles."""
    SAMPLE: Final = 7
    """Observation: after everything else of the instant."""


class Calendar:
    """A clock and the events to come.

    Attributes
    ----------
    now_us : int
        Simulated time in microseconds since the start of the run.
    processed : int
        Number of events handled so far.

    Examples
    --------
    >>> calendar, seen = Calendar(), []
    >>> note = calendar.register("demo", "note", seen.append)
    >>> calendar.post(5, Priority.ARRIVAL, note, 1)
    >>> calendar.post(5, Priority.REMOVAL, note, 2)
    >>> calendar.run()
    >>> (seen, calendar.now_us)
    ([2, 1], 5)
    """

    __slots__ = ("_background", "_handlers", "_heap", "_names", "_sequence", "now_us", "processed")

    def __init__(self) -> None:
        self.now_us = 0
        self.processed = 0
        self._heap: list[tuple[int, int, int, int, Argument]] = []
        self._sequence = 0
        self._background: set[int] = set()
        self._handlers: list[Handler] = []
        self._names: list[str] = []

    def register(self, component: str, name: str, handler: Handler) -> int:
        """Return the number under which *handler* of *component* is posted."""
        self._handlers.append(handler)
        self._names.append(f"{component}.{name}")
        return len(self._handlers) - 1

    def post(self, time_us: int, priority: int, handler: int, argument: Argument = 0) -> None:
        """Schedule an event.

        Parameters
        ----------
        time_us : int
            Time of the event, not before `now_us`.
        priority : int
            One of `Priority`; the order among events of one instant.
        handler : int
            A number from `register`.
        argument : int or tuple, default 0
            Handed to the handler.

        Raises
        ------
        ValueError
            The time lies in the past.
        """
        if time_us < self.now_us:
            raise ValueError(
                f"{self._names[handler]} posted for {time_us} us, but now is {self.now_us} us"
            )
        self._sequence += 1
        heappush(self._heap, (time_us, priority, self._sequence, handler, argument))

    def post_background(self, time_us: int, priority: int, handler: int) -> None:
        """Schedule an observation or a routine check, which alone does not keep a run going.

        A handler has at most one such event at a time; it is told apart from the others by
        `background_done`, which it calls first.
        """
        if handler not in self._background:
            self._background.add(handler)
            self.post(time_us, priority, handler)

    def background_done(self, handler: int) -> None:
        """Note that the background event of *handler* is being handled."""
        self._background.discard(handler)

    @property
    def idle(self) -> bool:
        """Nothing but background events is left: nothing will change any more."""
        return len(self._heap) == len(self._background)

    def peek(self) -> int | None:
        """Return the time of the next event, or None when there is none."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Handle the next event; return False when there was none."""
        if not self._heap:
            return False
        self.now_us, _, _, handler, argument = heappop(self._heap)
        self.processed += 1
        self._handlers[handler](argument)
        return True

    def run(self, until_us: int | None = None) -> None:
        """Handle events until only background is left, or none at or before *until_us*.

        With *until_us* the clock stands at that time afterwards.
        """
        heap, handlers, background = self._heap, self._handlers, self._background
        limit = (1 << 63) - 1 if until_us is None else until_us
        count = 0
        while heap:
            entry = heappop(heap)
            time_us, _, _, handler, argument = entry
            if time_us > limit or (handler in background and len(heap) < len(background)):
                heappush(heap, entry)  # it stays for a later call
                break
            self.now_us = time_us
            count += 1
            handlers[handler](argument)
        self.processed += count
        if until_us is not None:
            self.now_us = max(self.now_us, until_us)

    def entries(self) -> list[tuple[int, int, int, str, Argument]]:
        """Return the events to come, in order, with their handlers' names."""
        return [(t, p, s, self._names[h], a) for t, p, s, h, a in sorted(self._heap)]

    def __len__(self) -> int:
        return len(self._heap)
