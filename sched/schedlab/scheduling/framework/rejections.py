"""Which filter rejects each node, of a class that fits nowhere, and the message that says so.

It is kept from one attempt to the next: a preemptor wants to know it of every node, and little has
changed since the last one like it asked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.compiled import compiled
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import MOST_ASKED
from schedlab.scheduling.framework.class_cache import Cursor, StaticVerdicts
from schedlab.scheduling.framework.filter_cache import static_filters
from schedlab.scheduling.framework.interface import Cycle, FilterPlugin, fit_error
from schedlab.scheduling.framework.node_part import NodePart
from schedlab.scheduling.framework.static_part import StaticPart
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit


@compiled
def reject_rows(
    rows: Any, ok: Any, static_by: Any, static_codes: Any, lacking: Any, fit: int, found: Any
) -> None:
    """Say of *rows* which filter rejects them first, STATIC ones or number *fit*, and count.

    Parameters
    ----------
    rows : int array
        Nodes; any may come twice.
    ok, static_by, static_codes
        See `class_cache.StaticVerdicts`.
    lacking : int64 array of shape [N]
        Bit mask of the resources that don't fit.
    fit : int
        Index of NodeResourcesFit.
    found : tuple of (int64 [N], int64 [N], int64 [F], int64 [62])
        Filter (-1 = none) and code of each node; how many nodes each filter rejects; how many lack
        each of the resources that the pod asks for.
    """
    by, codes, counts, short = found
    for k in range(len(rows)):
        n = rows[k]
        old = by[n]
        if old >= 0:
            counts[old] -= 1
        if old == fit:
            _count(codes[n], -1, short)
        if ok[n] and lacking[n] != 0:
            by[n], codes[n] = fit, lacking[n]
            _count(codes[n], 1, short)
        else:
            by[n], codes[n] = static_by[n], static_codes[n]
        if by[n] >= 0:
            counts[by[n]] += 1


@compiled
def _count(code: int, change: int, short: Any) -> None:
    r = 0
    while code:
        if code & 1:
            short[r] += change
        code >>= 1
        r += 1


class Rejections:
    """Which filter rejects each node.

    Parameters
    ----------
    fit : int
        Index of NodeResourcesFit among the filters.
    filters : int
        How many there are.

    Attributes
    ----------
    by, codes : int64 array of shape [N]
        Index of the first STATIC filter, or of NodeResourcesFit, that rejects each node, -1 = none
        does or no node is there; and its code.
    counts : int64 array of shape [F]
        How many nodes each filter rejects.
    short : int64 array of shape [62]
        How many nodes lack each of the resources that the class asks for.
    """

    __slots__ = ("_cursor", "_filters", "_fit", "_static", "by", "codes", "counts", "short")

    def __init__(self, fit: int, filters: int) -> None:
        self._fit = fit
        self._filters = filters
        self._static: tuple[StaticPart | None, int] = (None, -1)
        self._cursor = Cursor()

    def refresh(self, nodes: NodeColumns, static: StaticPart, node: NodePart) -> None:
        """Bring it up to date; *static* and *node* are."""
        if self._cursor.outgrown(nodes) or self._static != (static, static.version):
            self._static = (static, static.version)
            self._cursor.usage = -1
            self.by = np.full(nodes.size, -1, np.int64)
            self.codes = np.zeros(nodes.size, np.int64)
            self.counts = np.zeros(self._filters, np.int64)
            self.short = np.zeros(MOST_ASKED, np.int64)
        if self._cursor.usage != nodes.usage.count:
            rows: NDArray[np.integer] = self._cursor.changed_usage(nodes)
            verdicts = static.verdicts
            found = (self.by, self.codes, self.counts, self.short)
            reject_rows(
                rows, verdicts.ok, verdicts.plugin, verdicts.code, node.codes, self._fit, found
            )


def explain(
    filters: tuple[FilterPlugin, ...],
    cycle: Cycle,
    verdicts: StaticVerdicts,
    short: NDArray[np.int64],
) -> str:
    """Return kube-scheduler's message for a class that fits nowhere.

    It follows from the kept *verdicts*, and from how many nodes are *short* of what it asks for.
    """
    if verdicts.reasons is None:
        verdicts.reasons = _static_reasons(filters, cycle, verdicts)
    counts = dict(verdicts.reasons)
    nodes = cycle.nodes
    fit = next((f for f in filters if isinstance(f, NodeResourcesFit)), None)
    if fit is not None:
        for asked in short.nonzero()[0].tolist():
            for reason in fit.reasons(cycle, -1, 1 << asked):
                counts[reason] = counts.get(reason, 0) + int(short[asked])
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
