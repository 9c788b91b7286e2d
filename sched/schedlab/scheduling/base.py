"""The seam where schedulers are interchanged: what goes in, what comes out.

A scheduler is pure policy. It has no clock, does no I/O and holds no reference to the control
plane: the scheduler *component* takes pods from its queue, asks the policy, waits for the decision
time and binds. Greedy, solvers and learned policies answer the same call; the component can't tell
which one it has. A richer base class was rejected: a function that returns a `Placement` is enough.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import Devices
from schedlab.rng import Draws
from schedlab.scheduling.view import ClusterView


class Pod(NamedTuple):
    """A pending pod, as a policy may see it: never its true duration, never the future."""

    row: int
    """Row of the pod: its identity within a run."""
    pod_class: PodClass
    """What it asks for."""
    name: str
    """``namespace/name``."""
    key: int
    """Entity key for keyed draws: the same under every scheduler."""
    attempt: int
    """1 for the first attempt to schedule it."""
    created_us: int
    """When it was created."""
    estimated_duration_us: int
    """How long it is believed to run once started; -1 when nothing is known."""


class PodBatch(Sequence[Pod]):
    """The pods to decide on, in queue order."""

    __slots__ = ("_pods",)

    def __init__(self, pods: list[Pod]) -> None:
        self._pods = pods

    def __len__(self) -> int:
        return len(self._pods)

    def __getitem__(self, index: int) -> Pod:  # type: ignore[override]
        return self._pods[index]

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods)

    def requests(self, view: ClusterView) -> NDArray[np.int64]:
        """Return the requests as an int64 array of shape [R, P]."""
        rows = view.allocatable.shape[0]
        out = np.zeros((rows, len(self._pods)), np.int64)
        for i, pod in enumerate(self._pods):
            for resource, amount in pod.pod_class.requests:
                out[resource, i] = amount
        return out

    @property
    def priority(self) -> NDArray[np.int64]:
        """Priorities, int64 array of shape [P]."""
        return np.array([pod.pod_class.priority for pod in self._pods], np.int64)


class Verdict(enum.IntEnum):
    """What a scheduler says of one pod."""

    PLACED = 0
    UNSCHEDULABLE = 1
    """No node will do; the pod waits until the cluster changes for the better."""
    DEFER = 2
    """Ask again at a time that the scheduler names."""
    DROP = 3
    """Never ask again: the pod is counted as dropped."""


@dataclass(slots=True)
class Eviction:
    """A running pod that has to go."""

    pod: int
    reason: str


@dataclass(slots=True)
class Move:
    """A running pod that is to go to another node.

    Kubernetes has no moves: the pod is evicted, and its replacement (of the same class and owner)
    finds room kept for it on the other node.
    """

    pod: int
    node: int
    """Row of the node that the replacement is to go to."""
    reason: str
    expires_us: int
    """Until when the room is kept."""


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver says of its answer.

    Attributes
    ----------
    status : str
        "optimal", "feasible", "no-pods" or "no-nodes".
    objective, bound, gap : float or None
        Value of the leading level of its objective, its bound, and their relative distance.
    """

    status: str
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None


@dataclass(slots=True)
class Placement:
    """The answer to one batch of P pods.

    Start from `Placement.of`, where no pod is placed, and use `place`, `defer` and `drop`.

    Attributes
    ----------
    verdict : list of Verdict, length P
        What becomes of each pod.
    node : list of int, length P
        Row of the chosen node, or -1.
    reason : list of str, length P
        Why a pod is unschedulable or dropped, in kube-scheduler's words; empty when placed.
    until_us : list of int, length P
        When to ask again about a deferred pod; 0 for others.
    feasible : list of int, length P
        Number of nodes that passed all filters, or -1 when not counted.
    work : list of int, length P
        Deterministic units of work per pod (such as nodes evaluated), from which the component
        derives the simulated decision time. Wall time is never used.
    evictions : list of Eviction
        Running pods to evict.
    devices : dict of int to tuple of int
        GPUs of the chosen node, by number of the pod in the batch. Where a pod asks for GPUs and
        none are named here, it gets those that it best fits.
    nominations : dict of int to int
        Row of the node on which the evictions make room, by number of the pod in the batch. Such a
        pod is unschedulable for now; it is asked about again when its victims are gone.
    withdrawn : set of int
        Numbers of the pods that were nominated for a node before and are no longer.
    rejected_by : dict of int to frozenset of str
        Names of the plugins that rejected an unschedulable pod, by its number in the batch: it is
        asked about again when something happens that helps with one of them. Where it isn't said,
        all default filters may have.
    moves : list of Move
        Running pods to move; they are not among the evictions.
    solution : Solution, optional
        How good the answer is, where a solver says so.
    """

    verdict: list[Verdict]
    node: list[int]
    reason: list[str]
    until_us: list[int]
    feasible: list[int]
    work: list[int]
    evictions: list[Eviction] = field(default_factory=list)
    devices: dict[int, Devices] = field(default_factory=dict)
    nominations: dict[int, int] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    rejected_by: dict[int, frozenset[str]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    solution: Solution | None = None

    @classmethod
    def of(cls, pods: PodBatch) -> Placement:
        """Return the answer that places no pod."""
        n = len(pods)
        return cls([Verdict.UNSCHEDULABLE] * n, [-1] * n, [""] * n, [0] * n, [-1] * n, [0] * n)

    def place(self, index: int, node: int, devices: Devices | None = None) -> None:
        """Place pod number *index* of the batch on the node in row *node*, and on GPUs of it."""
        self.verdict[index] = Verdict.PLACED
        self.node[index] = int(node)
        self.reason[index] = ""
        if devices is not None:
            self.devices[index] = devices

    def defer(self, index: int, until_us: int, reason: str = "") -> None:
        """Ask again about pod number *index* at *until_us*."""
        self.verdict[index] = Verdict.DEFER
        self.until_us[index] = until_us
        self.reason[index] = reason

    def drop(self, index: int, reason: str) -> None:
        """Give pod number *index* up for good."""
        self.verdict[index] = Verdict.DROP
        self.reason[index] = reason


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a scheduler wants to be asked.

    Attributes
    ----------
    max_pods : int
        Most pods in one batch.
    window_us : int
        How long pods are collected after the first one; 0 = at once.
    period_us : int or None
        Ask this often even when nothing is pending (rebalancing); None = never.
    """

    max_pods: int = 1
    window_us: int = 0
    period_us: int | None = None


@runtime_checkable
class Scheduler(Protocol):
    """A policy: pods and a view in, a placement out.

    Optional attributes: ``trigger`` (a `Trigger`; default: one pod at a time), ``tags`` (a
    frozenset of "order_dependent", "stochastic", "stateful"), ``notes`` (sentences that every
    result of this scheduler has to carry), ``scheduler_names`` (whose pods it takes, where it
    serves several names) and ``backoff_seconds`` (first and longest backoff of its queue, None =
    the control plane's).

    Optional methods, which the component calls in simulated time around the decision::

        hooks_for(pod_class, view) -> frozenset of str      which of the following pods of a class
                                                            need; without it, all that there are
        sort_key(pod, since_us) -> tuple                    order of the queue (may be None)
        pre_enqueue(pod, view) -> Refusal | None            hold the pod out of the queue
        events_to_register(pod, rejected_by, view)          what may help an unschedulable pod, see
            -> mapping of str to tuple of Hint              `framework.queueing_hints`
        still_fits(pod, node, view) -> bool                 asked where something changed since
        reserve(pod, node, view) -> Refusal | None          the pod has been assumed on the node
        unreserve(pod, node) -> None                        it is not bound after all
        permit(pod, node, view) -> mapping of str to Permit by plugin: hold the pod back
        pre_bind(pod, node, view) -> Refusal | Writes | None
        bind(pod, node, view) -> bool
        post_bind(pod, node, view) -> None
    """

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Decide on *pods*; *view* is unchanged afterwards (trials go through `view.fork`)."""
        ...
