"""Plain functions as schedulers: of a whole batch, or of one pod at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, overload

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Trigger
from schedlab.scheduling.view import ClusterView

BatchFunction = Callable[[PodBatch, ClusterView, Draws], Placement]
OnePodFunction = Callable[[Pod, ClusterView], "int | None"]
TAGS = frozenset({"order_dependent", "stochastic", "stateful"})
"""What must be assumed of a function that says nothing of itself."""


class FunctionScheduler:
    """A function of a batch as a scheduler.

    Parameters
    ----------
    function : callable
        ``function(pods, view, rng) -> Placement``.
    trigger : Trigger, optional
        When it wants to be asked; one pod at a time where absent.
    tags : frozenset of str, optional
        What is known of it (see `Scheduler`).
    """

    def __init__(
        self,
        function: BatchFunction,
        trigger: Trigger | None = None,
        tags: frozenset[str] = TAGS,
    ) -> None:
        self._function = function
        self.trigger = trigger or Trigger()
        self.tags = tags
        self.name = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = function.__doc__

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Call the function."""
        return self._function(pods, view, rng)


class PodFunction:
    """A function that chooses a node for one pod, as a scheduler.

    Parameters
    ----------
    function : callable
        ``function(pod, view)`` returns the row of a node, or None where none will do.
    trigger, tags
        As in `FunctionScheduler`.
    """

    def __init__(
        self,
        function: OnePodFunction,
        trigger: Trigger | None = None,
        tags: frozenset[str] = TAGS,
    ) -> None:
        self._function = function
        self.trigger = trigger or Trigger()
        self.tags = tags
        self.name = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = function.__doc__

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Ask the function about each pod, with the earlier ones of the batch in place."""
        placement = Placement.of(pods)
        with view.fork() as trial:
            for i, pod in enumerate(pods):
                node = self._function(pod, view)
                if node is None or node < 0:
                    placement.reason[i] = "the function chose no node"
                    continue
                placement.place(i, int(node))
                if len(pods) > 1:
                    trial.assume(pod, int(node))
        return placement


def as_scheduler(
    function: Callable[..., Any],
    trigger: Trigger | None = None,
    tags: frozenset[str] = TAGS,
) -> Scheduler:
    """Return a function as a scheduler, by the number of its parameters.

    Raises
    ------
    InputError
        It takes neither ``(pod, view)`` nor ``(pods, view, rng)``.
    """
    count = len(inspect.signature(function).parameters)
    if count == 2:
        return PodFunction(function, trigger, tags)
    if count == 3:
        return FunctionScheduler(function, trigger, tags)
    raise InputError(
        f"scheduler {getattr(function, '__name__', function)}",
        found=f"<a function of {count} parameters>",
        expected="f(pods, view, rng) -> Placement or f(pod, view) -> node",
    )


@overload
def scheduler(function: Callable[..., Any], /) -> Scheduler: ...


@overload
def scheduler(
    *, trigger: Trigger | None = None, tags: frozenset[str] = TAGS
) -> Callable[[Callable[..., Any]], Scheduler]: ...


def scheduler(
    function: Callable[..., Any] | None = None,
    /,
    *,
    trigger: Trigger | None = None,
    tags: frozenset[str] = TAGS,
) -> Scheduler | Callable[[Callable[..., Any]], Scheduler]:
    """Turn a function into a scheduler; a decorator, with or without arguments.

    Parameters
    ----------
    function : callable
        ``f(pods, view, rng) -> Placement``, or ``f(pod, view)`` that returns a node or None.
    trigger : Trigger, optional
        When it wants to be asked.
    tags : frozenset of str, optional
        What is known of it; by default the least.

    Examples
    --------
    >>> @scheduler(tags=frozenset({"order_dependent"}))
    ... def first(pod, view):
    ...     rows = view.feasible(pod)
    ...     return rows[0] if len(rows) else None
    >>> first.name
    'first'
    """
    if function is not None:
        return as_scheduler(function, trigger, tags)
    return lambda found: as_scheduler(found, trigger, tags)
