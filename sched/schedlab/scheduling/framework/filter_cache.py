"""Filter verdicts of a class, kept up to date, and an optional rank per node.

The packing heuristics rank nodes by it, `ClusterView.feasible` reads the verdicts alone.
"""

from __future__ import annotations

from collections import Counter

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
    fit_error,
)
from schedlab.scheduling.framework.kernels import FIRST_FIT, count_bits, refresh_rank
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

    __slots__ = ("_cursor", "_cycle", "_filters", "_largest", "_message", "_mode", "_request",
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
        self._message: tuple[tuple[int, int], str] = ((-1, -1), "")
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

    def message(self, nodes: NodeColumns) -> str:
        """Return why the class fits nowhere, in kube-scheduler's words."""
        now = (nodes.usage.count, nodes.attributes.count)
        if self._message[0] != now:
            text = explain(self._filters, self._cycle, self.verdicts, self.codes)
            self._message = (now, text)
        return self._message[1]


def explain(
    filters: tuple[FilterPlugin, ...],
    cycle: Cycle,
    verdicts: StaticVerdicts,
    codes: NDArray[np.int64],
) -> str:
    """Return kube-scheduler's message for a class that fits nowhere, from its cached verdicts."""
    if verdicts.reasons is None:
        verdicts.reasons = _static_reasons(filters, cycle, verdicts)
    counts = dict(verdicts.reasons)
    nodes = cycle.nodes
    fit = next((f for f in filters if isinstance(f, NodeResourcesFit)), None)
    if fit is not None:
        short = count_bits(verdicts.ok, codes, len(nodes.resources))
        for resource in short.nonzero()[0].tolist():
            for reason in fit.reasons(cycle, -1, 1 << resource):
                counts[reason] = counts.get(reason, 0) + int(short[resource])
    return fit_error(len(nodes.row_of), counts)


def _static_reasons(
    filters: tuple[FilterPlugin, ...], cycle: Cycle, verdicts: StaticVerdicts
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for index, plugin in static_filters(filters):
        rejected = verdicts.code[verdicts.plugin == index]
        for code, count in zip(*np.unique(rejected, return_counts=True), strict=True):
            for reason in plugin.reasons(cycle, -1, int(code)):
                counts[reason] += int(count)
    return counts
