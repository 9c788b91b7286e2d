"""What plugins say that have no compiled form: a user's own, ports, volumes, device shares.

Answers of NODE plugins are kept per class and node and asked for again where the node changed; all
others are asked at every decision, about the nodes that are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.evaluation import (
    Evaluation,
    rejected_beside,
    run_pre_filters,
)
from schedlab.scheduling.framework.interface import (
    Codes,
    Cycle,
    Depends,
    Rows,
    Scores,
    depends_on,
    normalized,
    prepared,
    skips_score,
)
from schedlab.scheduling.framework.kernels import fold
from schedlab.scheduling.framework.node_part import NO_ROWS, NodePart
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.static_part import StaticPart
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

FEW = 128
COMPILED = (NodeResourcesFit, NodeResourcesBalancedAllocation, PodTopologySpread, InterPodAffinity)
"""Plugins that the compiled choice answers for, beside STATIC ones."""
NORMALIZED = (TaintToleration, NodeAffinity)
"""STATIC plugins whose scores it normalises."""


def concerns(plugin: object, state: ClusterState, pod: PodClass) -> bool:
    """Return whether a plugin may have something to say about pods of a class.

    A plugin's own method ``concerns(state, pod_class)`` decides; without it, it may.
    """
    own = getattr(plugin, "concerns", None)
    return True if own is None else bool(own(state, pod))


class AskedPlugins:
    """The plugins of a profile that have no compiled form.

    Parameters
    ----------
    profile : Profile
        The profile.

    Attributes
    ----------
    filters : tuple
        Filters to ask.
    scores : tuple of (plugin, int)
        Scorers to ask, with their weights.
    all_scores : tuple of (plugin, int)
        Those and the ones that only the compiled choice normalises.
    places : dict of str to int
        Name of a filter -> its index in the profile.
    """

    def __init__(self, profile: Profile) -> None:
        self.filters = tuple(
            plugin
            for plugin in profile.filters
            if depends_on(plugin) is not Depends.STATIC and not isinstance(plugin, COMPILED)
        )
        self.scores = tuple(
            (plugin, weight) for plugin, weight in profile.scores if not _needs_no_asking(plugin)
        )
        self.all_scores = tuple(
            (plugin, weight)
            for plugin, weight in profile.scores
            if not isinstance(plugin, COMPILED[:2]) and not _is_fixed(plugin)
        )
        self.places = {plugin.name: place for place, plugin in enumerate(profile.filters)}


class Answers:
    """The plugins without a compiled form that concern a class, and what is kept of them.

    Parameters
    ----------
    asked : AskedPlugins
        The plugins.
    pod : PodClass
        The class.
    state : ClusterState
        The cluster.

    Attributes
    ----------
    any : bool
        There are such plugins.
    keeps_filters : bool
        The verdicts of all their filters are kept.
    folds : bool
        All that they say is kept by node, so that it can be added to what resources say.
    """

    def __init__(self, asked: AskedPlugins, pod: PodClass, state: ClusterState) -> None:
        self._cycle = Cycle(state, pod)
        self._filters: list[Any] = [p for p in asked.filters if concerns(p, state, pod)]
        self._scores: list[tuple[Any, int]] = [
            (plugin, weight) for plugin, weight in asked.scores if concerns(plugin, state, pod)
        ]
        self._all_scores = asked.all_scores
        self.any = bool(self._filters or self._scores)
        self._kept_filters = _kept(self._filters)
        self._kept_scores = _kept([plugin for plugin, _ in self._scores])
        self.keeps_filters = len(self._kept_filters) == len(self._filters)
        self.folds = (
            self.any
            and self.keeps_filters
            and len(self._kept_scores) == len(self._scores)
            and not any(hasattr(plugin, "pre_filter") for plugin in self._filters)
            and not any(
                hasattr(plugin, "pre_score") or hasattr(plugin, "normalize")
                for plugin, _ in self._scores
            )
        )
        self._places = asked.places
        self._weights = np.array([weight for _, weight in self._scores], np.int64)
        self._all_codes = self._all_raw = np.zeros((0, 0), np.int64)
        self._codes: dict[str, NDArray[np.int64]] = {}
        self._raw: dict[str, Scores] = {}
        self._cursor = Cursor()
        self.refresh(state.nodes)

    def refresh(self, nodes: NodeColumns) -> Rows:
        """Ask the NODE plugins again about the rows that changed; return these."""
        if not self.any:
            return NO_ROWS
        cursor = self._cursor
        if cursor.outgrown(nodes):
            self._all_codes = np.zeros((len(self._kept_filters), nodes.size), np.int64)
            self._all_raw = np.zeros((len(self._kept_scores), nodes.size), np.int64)
            for index, plugin in enumerate(self._kept_filters):
                self._codes[plugin.name] = self._all_codes[index]
            for index, plugin in enumerate(self._kept_scores):
                self._raw[plugin.name] = self._all_raw[index]
        if not (self._codes or self._raw) or cursor.usage == nodes.usage.count:
            return NO_ROWS
        changed = cursor.changed_usage(nodes)
        if len(changed) > FEW:  # fewer cost less when some are asked about twice
            there = np.zeros(nodes.size, np.bool_)
            there[changed] = True
            rows = there.nonzero()[0]
        else:
            rows = changed.astype(np.int64)
        if len(nodes.row_of) < nodes.size:
            rows = rows[nodes.present[rows]]
        cycle = Cycle(self._cycle.state, self._cycle.pod_class)
        for plugin in self._kept_filters:
            self._codes[plugin.name][rows] = plugin.filter(cycle, rows)
        for plugin in self._kept_scores:
            self._raw[plugin.name][rows] = plugin.score(cycle, rows)
        return rows

    def fold(self, rows: NDArray[np.integer], node: NodePart, codes: Codes, scores: Scores) -> None:
        """Fill *codes* and *scores* [N] at *rows* with what is kept and what resources say."""
        fold(
            rows,
            node.codes,
            node.scores,
            self._all_codes,
            self._all_raw,
            self._weights,
            codes,
            scores,
        )

    def passing(self, cycle: Cycle, rows: Rows) -> Rows:
        """Return which of *rows* pass the filters, in the same order."""
        for plugin in self._filters:
            if not len(rows):
                break
            answer = prepared(plugin, cycle)
            if answer.rejection is not None:
                return rows[:0]
            if answer.skip:
                continue
            if answer.nodes is not None:
                names = cycle.nodes.names
                rows = rows[[names[row] in answer.nodes for row in rows.tolist()]]
            kept = self._codes.get(plugin.name)
            rows = rows[(plugin.filter(cycle, rows) if kept is None else kept[rows]) == 0]
        return rows

    def reject(self, rows: Rows, by: NDArray[np.int64], codes: NDArray[np.int64]) -> frozenset[str]:
        """Let the kept filters reject *rows*; return their names.

        *by* and *codes* [len(rows)] say which filter was the first to reject each row so far (-1 =
        none), and are changed where one of these comes before it.
        """
        asked = set()
        for plugin in self._filters:
            if prepared(plugin, self._cycle).skip:
                continue
            asked.add(plugin.name)
            place, kept = self._places[plugin.name], self._codes[plugin.name][rows]
            first = (kept != 0) & ((by < 0) | (by > place))
            by[first], codes[first] = place, kept[first]
        return frozenset(asked)

    def beside(
        self, profile: Profile, cycle: Cycle, rows: Rows, pending: Mapping[int, list[int]]
    ) -> Rows:
        """Return which of *rows* pass with the pods in place that are nominated there."""
        alone = Evaluation(rows, rows, rows, rows)
        run_pre_filters(profile, cycle, alone)
        keep = np.ones(len(rows), np.bool_)
        for index, row in enumerate(rows.tolist()):
            if row in pending:
                by, _ = rejected_beside(profile, cycle, alone.skip_filter, row, pending[row])
                keep[index] = by < 0
        return rows[keep]

    def scores(self, cycle: Cycle, rows: Rows, static: StaticPart) -> Scores:
        """Return the weighted sum of all scores that are not in the other parts, int64 [F]."""
        total = np.zeros(len(rows), np.int64)
        for plugin, weight in self._all_scores:
            if skips_score(plugin, cycle, rows):
                continue
            kept = static.raw.get(plugin.name)
            if kept is None:
                kept = self._raw.get(plugin.name)
            raw = plugin.score(cycle, rows) if kept is None else kept[rows]
            total += weight * normalized(plugin, cycle, rows, raw)
        return total


def _kept(plugins: list[Any]) -> list[Any]:
    return [plugin for plugin in plugins if depends_on(plugin) is Depends.NODE]


def _is_fixed(plugin: object) -> bool:
    """Return whether `StaticPart.extra` has a plugin's scores."""
    return depends_on(plugin) is Depends.STATIC and not hasattr(plugin, "normalize")


def _needs_no_asking(plugin: object) -> bool:
    return isinstance(plugin, (*COMPILED, *NORMALIZED)) or _is_fixed(plugin)
