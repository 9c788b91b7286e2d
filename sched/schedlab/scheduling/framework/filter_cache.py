"""Filter verdicts of a class, kept up to date, and an optional rank per node.

The packing heuristics rank nodes by it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor, StaticVerdicts
from schedlab.scheduling.framework.interface import (
    Cycle,
    Depends,
    FilterPlugin,
    depends_on,
)
from schedlab.scheduling.framework.kernels import FIRST_FIT, refresh_rank
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

BYTES_PER_NODE = 26


def static_filters(filters: tuple[FilterPlugin, ...]) -> tuple[tuple[int, FilterPlugin], ...]:
    """Return the STATIC plugins among *filters*, each with its index."""
    return tuple((i, f) for i, f in enumerate(filters) if depends_on(f) is Depends.STATIC)


def request_arrays(
    filters: tuple[FilterPlugin, ...], pod: PodClass, nodes: NodeColumns
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (resource rows, amounts) that the profile's NodeResourcesFit looks at; else none."""
    wanted: tuple[tuple[int, int], ...] = ()
    for plugin in filters:
        if isinstance(plugin, NodeResourcesFit):
            wanted = plugin.wanted(pod, nodes)
    return (
        np.array([row for row, _ in wanted], np.int64),
        np.array([amount for _, amount in wanted], np.int64),
    )


class FilterCache:
    """Verdicts and ranks of one class.

    Parameters
    ----------
    filters : tuple of FilterPlugin
        In order; STATIC ones, and NodeResourcesFit.
    pod : PodClass
        The class.
    state : ClusterState
        The cluster.
    mode : int, default FIRST_FIT
        Which rank, a constant of `schedlab.scheduling.framework.kernels`.

    Attributes
    ----------
    verdicts : StaticVerdicts
        What the STATIC filters say.
    codes : int64 array of shape [N]
        Bit mask of the resources that don't fit.
    ranks : float64 array of shape [N]
        Rank under *mode*, the higher the better.
    """

    __slots__ = ("_cursor", "_cycle", "_filters", "_largest", "_mode", "_request",
                 "codes", "pod", "ranks", "verdicts")  # fmt: skip

    def __init__(
        self,
        filters: tuple[FilterPlugin, ...],
        pod: PodClass,
        state: ClusterState,
        mode: int = FIRST_FIT,
    ) -> None:
        self._filters = filters
        self._mode = mode
        self._cursor = Cursor()
        self.pod = pod
        self._cycle = Cycle(state, pod)
        self.refresh(state.nodes)

    def _build(self, nodes: NodeColumns) -> None:
        self._request = request_arrays(self._filters, self.pod, nodes)
        self.codes = np.zeros(nodes.size, np.int64)
        self.ranks = np.zeros(nodes.size, np.float64)
        self.verdicts = StaticVerdicts.of(static_filters(self._filters), self._cycle)
        self._largest = nodes.allocatable.max(axis=1, initial=0).clip(min=1)

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring everything up to date."""
        cursor = self._cursor
        if cursor.outgrown(nodes):
            self._build(nodes)
        if cursor.attributes != nodes.attributes.count:
            rows = cursor.changed_attributes(nodes)
            self.verdicts.refresh(static_filters(self._filters), self._cycle, rows)
            largest = nodes.allocatable.max(axis=1, initial=0).clip(min=1)
            if not np.array_equal(largest, self._largest):
                self._largest, cursor.usage = largest, -1
        if cursor.usage != nodes.usage.count:
            refresh_rank(
                cursor.changed_usage(nodes),
                nodes.requested,
                nodes.allocatable,
                self._request,
                self._largest,
                self._mode,
                self.codes,
                self.ranks,
            )

    def rows(self) -> NDArray[np.int64]:
        """Return the feasible rows, increasing."""
        return np.flatnonzero(self.verdicts.ok & (self.codes == 0)).astype(np.int64)
