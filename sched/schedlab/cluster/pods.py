"""All pods of a run in columns: what they are and when each stage of their life happened.

A row is a pod for ever: it is never taken by another one, so that a row is an identity. The columns
of what a pod *is* are written once, at its creation; the columns of times are written once each by
the component in which the stage happens. Who sees a pod when is not stored here: that is each
informer's own projection. Arrays of the standard library were measured faster than numpy for scalar
access and convert without a copy; a list of objects would take ten times the memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.devices import Devices
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.rng import Draws
from schedlab.sim.distributions import Constant, Distribution

TIMES = (
    "created_us",
    "stored_us",
    "seen_by_scheduler_us",
    "decided_us",
    "bound_us",
    "seen_by_kubelet_us",
    "pulled_us",
    "started_us",
    "ready_us",
    "finished_us",
    "released_us",
    "deleted_us",
)


class PodTable:
    """The pods of a run, one row each; P rows so far.

    Attributes
    ----------
    names : list of str
        ``namespace/name``, [P].
    classes : ClassTable
        Pod classes, indexed by `pod_class`.
    pod_class, item, replica, incarnation, owner, attempts, node : int32 array, [P]
        Class; workload item; logical replica in the item and how many pods it had before; index
        into `owners` or -1; scheduling attempts; row of the node it was bound to or -1.
    outcome : int8 array, [P]
        Index into `schedlab.record.schema.OUTCOMES`.
    reason : int32 array, [P]
        Index into `reasons`.
    key : uint64 array, [P]
        Entity key of (item, replica): the same under every scheduler.
    devices : dict of int to tuple of int
        The GPUs on its node that a bound pod was given; pods that ask for none aren't there.
    duration_us, estimate_us : int64 array, [P]
        How long it runs once started, -1 = until deleted; what a policy may believe of it.
    created_us ... deleted_us : int64 array, [P]
        Times of the stages, -1 = has not happened.
    """

    created_us: array[int]
    stored_us: array[int]
    seen_by_scheduler_us: array[int]
    decided_us: array[int]
    bound_us: array[int]
    seen_by_kubelet_us: array[int]
    pulled_us: array[int]
    started_us: array[int]
    ready_us: array[int]
    finished_us: array[int]
    released_us: array[int]
    deleted_us: array[int]

    def __init__(self, classes: ClassTable) -> None:
        self.classes = classes
        self.items: Vocabulary[str] = Vocabulary()
        self.owners: Vocabulary[str] = Vocabulary()
        self.reasons: Vocabulary[str] = Vocabulary([""])
        self.names: list[str] = []
        self.pod_class = array("i")
        self.item = array("i")
        self.replica = array("i")
        self.incarnation = array("i")
        self.owner = array("i")
        self.attempts = array("i")
        self.node = array("i")
        self.devices: dict[int, Devices] = {}
        self.outcome = array("b")
        self.reason = array("i")
        self.key = array("Q")
        self.duration_us = array("q")
        self.estimate_us = array("q")
        for name in TIMES:
            setattr(self, name, array("q"))

    def __len__(self) -> int:
        return len(self.names)

    def class_of(self, row: int) -> PodClass:
        """Return the class of the pod in *row*."""
        return self.classes[self.pod_class[row]]

    def extend(
        self,
        names: Sequence[str],
        *,
        pod_class: NDArray[np.int32],
        item: NDArray[np.int32],
        replica: NDArray[np.int32],
        key: NDArray[np.uint64],
        duration_us: NDArray[np.int64],
        estimate_us: NDArray[np.int64],
        owner: int = -1,
        incarnation: int = 0,
    ) -> int:
        """Add P pods at once, none of which has been created yet; return the row of the first.

        Parameters
        ----------
        names : sequence of str, length P
            ``namespace/name``.
        pod_class, item, replica : int32 array of shape [P]
            See the attributes of the same name.
        key : uint64 array of shape [P]
            Entity keys.
        duration_us, estimate_us : int64 array of shape [P]
            Durations; -1 where a pod runs until it is deleted, or nothing is believed.
        owner : int, default -1
            Index into `owners`, for all of them.
        incarnation : int, default 0
            How many pods these replicas had before.
        """
        first, count = len(self.names), len(names)
        self.names.extend(names)
        self.pod_class.frombytes(pod_class.astype(np.int32).tobytes())
        self.item.frombytes(item.astype(np.int32).tobytes())
        self.replica.frombytes(replica.astype(np.int32).tobytes())
        self.key.frombytes(key.astype(np.uint64).tobytes())
        self.duration_us.frombytes(duration_us.astype(np.int64).tobytes())
        self.estimate_us.frombytes(estimate_us.astype(np.int64).tobytes())
        self.incarnation.extend([incarnation] * count)
        self.owner.extend([owner] * count)
        self.attempts.extend([0] * count)
        self.node.extend([-1] * count)
        self.outcome.extend([0] * count)
        self.reason.extend([0] * count)
        unset = array("q", [-1]) * count
        for name in TIMES:
            getattr(self, name).extend(unset)
        return first

    def add(
        self,
        name: str,
        *,
        pod_class: int,
        item: int,
        replica: int,
        incarnation: int,
        key: int,
        duration_us: int,
        estimate_us: int,
        owner: int,
    ) -> int:
        """Add one pod that has not been created yet; return its row (see `extend`)."""
        row = len(self.names)
        self.names.append(name)
        self.pod_class.append(pod_class)
        self.item.append(item)
        self.replica.append(replica)
        self.incarnation.append(incarnation)
        self.key.append(key)
        self.duration_us.append(duration_us)
        self.estimate_us.append(estimate_us)
        self.owner.append(owner)
        self.attempts.append(0)
        self.node.append(-1)
        self.outcome.append(0)
        self.reason.append(0)
        for name in TIMES:
            getattr(self, name).append(-1)
        return row


class PodLatency:
    """One latency of every pod, keyed by the pod and drawn in bulk where rows are known early.

    Parameters
    ----------
    distribution : Distribution
        What the latency is drawn from, in microseconds.
    draws : Draws
        The stream of this latency.
    pods : PodTable
        The pods; the draw is keyed by (entity key, incarnation), never by the row.
    """

    __slots__ = ("_constant", "_distribution", "_drawn", "_draws", "_pods")

    def __init__(self, distribution: Distribution, draws: Draws, pods: PodTable) -> None:
        self._distribution = distribution
        self._draws = draws
        self._pods = pods
        self._constant = distribution.value if isinstance(distribution, Constant) else -1
        self._drawn = array("q")

    def us(self, row: int) -> int:
        """Return the latency of the pod in *row*, in microseconds."""
        if self._constant >= 0:
            return self._constant
        try:
            return self._drawn[row]
        except IndexError:
            self._draw_up_to_date()
            return self._drawn[row]

    def _draw_up_to_date(self) -> None:
        first, pods = len(self._drawn), self._pods
        count = len(pods) - first
        if count < 8:
            quantile, uniform = self._distribution.quantile, self._draws.uniform
            for row in range(first, first + count):
                self._drawn.append(quantile(uniform(pods.key[row], pods.incarnation[row])))
            return
        keys = np.array(pods.key[first:], np.uint64)
        attempts = np.array(pods.incarnation[first:], np.int64)
        values = self._distribution.quantiles(self._draws.uniforms(keys, attempts))
        self._drawn.frombytes(values.astype(np.int64).tobytes())
