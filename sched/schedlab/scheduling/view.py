"""What a scheduler sees of the cluster: read-only columns, and a fork to try things out.

The columns are those of the component's own projection: what its informer has delivered plus what
it has assumed itself. Nothing of size N is copied per decision; a cache asks the change logs which
rows to refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import DeviceColumns, Devices
from schedlab.cluster.nodes import ChangeLog, NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod

Feasible = Callable[["Pod"], NDArray[np.int64]]


class ClusterView:
    """A read-only view of a `ClusterState` at one moment.

    Attributes
    ----------
    now_us : int
        Simulated time of the decision.
    state : ClusterState
        The projection behind the view, for policies that keep caches; never to be changed.
    """

    __slots__ = ("_arrays", "_arrays_of", "_feasible", "now_us", "state")

    def __init__(self, state: ClusterState, now_us: int = 0) -> None:
        self.state = state
        self.now_us = now_us
        self._arrays: tuple[NDArray[np.int64], ...] = ()
        self._arrays_of: tuple[int, int] = (-1, -1)
        self._feasible: Feasible | None = None

    def _columns(self) -> tuple[NDArray[np.int64], ...]:
        nodes = self.state.nodes
        nodes.reserve_resources()  # a pod may ask for a resource that no node has named yet
        mark = (id(nodes.requested), nodes.size)
        if mark != self._arrays_of:
            rows = nodes.size
            self._arrays = tuple(
                _read_only(column[:, :rows])
                for column in (nodes.allocatable, nodes.requested, nodes.nonzero_requested)
            )
            self._arrays_of = mark
        return self._arrays

    @property
    def nodes(self) -> NodeColumns:
        """Names, labels, taints and flags of the nodes, by row."""
        return self.state.nodes

    @property
    def size(self) -> int:
        """Number of node rows, N (rows of removed nodes included; see `present`)."""
        return self.state.nodes.size

    @property
    def allocatable(self) -> NDArray[np.int64]:
        """What the nodes offer, int64 [R, N], read-only."""
        return self._columns()[0]

    @property
    def requested(self) -> NDArray[np.int64]:
        """What is requested of the nodes, int64 [R, N], read-only."""
        return self._columns()[1]

    @property
    def nonzero_requested(self) -> NDArray[np.int64]:
        """Milli-cores and bytes with upstream's defaults, int64 [2, N], read-only."""
        return self._columns()[2]

    @property
    def devices(self) -> DeviceColumns:
        """The nodes' GPUs, one by one; not to be changed."""
        return self.state.nodes.devices

    @property
    def present(self) -> NDArray[np.bool_]:
        """Rows that hold a node, bool [N]."""
        return self.state.nodes.present[: self.size]

    @property
    def usage(self) -> ChangeLog:
        """Log of the rows whose `requested` changed."""
        return self.state.nodes.usage

    @property
    def attributes(self) -> ChangeLog:
        """Log of the rows that were added, removed or relabelled."""
        return self.state.nodes.attributes

    def resource(self, name: str) -> int:
        """Return the row of a resource.

        Raises
        ------
        InputError
            The cluster has no such resource.
        """
        row = self.state.nodes.resources.get(name)
        if row < 0 or row >= self.allocatable.shape[0]:
            known = ", ".join(self.state.nodes.resources)
            raise InputError("resource", found=name, expected=f"one of {known}")
        return row

    def free(self, resource: str) -> NDArray[np.int64]:
        """Return allocatable minus requested of one resource, int64 [N] (a new array)."""
        row = self.resource(resource)
        free: NDArray[np.int64] = self.allocatable[row] - self.requested[row]
        return free

    def feasible(self, pod: Pod) -> NDArray[np.int64]:
        """Return the rows of the nodes that pass kube-scheduler's filters, increasing, [F]."""
        if self._feasible is None:
            # the framework imports the view, so it is bound at the first call
            from schedlab.scheduling.framework.feasibility import Feasibility

            self._feasible = Feasibility(self).rows
        return self._feasible(pod)

    @contextmanager
    def fork(self) -> Iterator[Fork]:
        """Open an overlay on which pods can be assumed and removed; leaving it rolls all back.

        Examples
        --------
        >>> with view.fork() as trial:  # doctest: +SKIP
        ...     trial.assume(pod, node)
        ...     later = trial.feasible(other_pod)
        """
        mark = self.state.mark()
        try:
            yield Fork(self)
        finally:
            self.state.undo(mark)


class Fork:
    """A view on which one may act; every read goes to the view below."""

    __slots__ = ("_view",)

    def __init__(self, view: ClusterView) -> None:
        self._view = view

    def assume(self, pod: Pod, node: int, devices: Devices | None = None) -> None:
        """Let *pod* hold its requests, and *devices*, on the node in row *node*."""
        self._view.state.add_pod(pod.row, pod.pod_class, int(node), devices)

    def remove(self, pod_row: int) -> None:
        """Free what a pod holds, as if it had gone."""
        self._view.state.remove_pod(pod_row)

    def feasible(self, pod: Pod) -> NDArray[np.int64]:
        """Return `ClusterView.feasible` with the overlay in place."""
        return self._view.feasible(pod)

    def free(self, resource: str) -> NDArray[np.int64]:
        """Return `ClusterView.free` with the overlay in place."""
        return self._view.free(resource)

    @property
    def view(self) -> ClusterView:
        """The view, showing the overlay."""
        return self._view


def _read_only(array: NDArray[np.int64]) -> NDArray[np.int64]:
    shown = array.view()
    shown.flags.writeable = False
    return shown
