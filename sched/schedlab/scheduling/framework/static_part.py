"""What a node's labels, taints, flags and images mean to a class: verdicts and scores per node.

Classes that look alike to the STATIC plugins share one `StaticPart`; a change of a node's
attributes refreshes that row alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor, StaticVerdicts
from schedlab.scheduling.framework.filter_cache import static_filters
from schedlab.scheduling.framework.interface import (
    Cycle,
    Depends,
    Scores,
    depends_on,
    is_upstreams,
    skips_score,
)
from schedlab.scheduling.framework.node_part import NO_ROWS
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

BYTES_PER_NODE = 34


def looks_anywhere(profile: Profile) -> bool:
    """Return whether there are STATIC plugins that may look at anything: users' own."""
    return any(
        depends_on(plugin) is Depends.STATIC and not is_upstreams(plugin)
        for plugin in (*profile.filters, *(scorer for scorer, _ in profile.scores))
    )


def looks_at(pod: PodClass) -> tuple[object, ...]:
    """Return what of a class upstream's STATIC plugins look at."""
    spec = pod.spec
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    images = tuple(c.image for c in (*spec.init_containers, *spec.containers))
    selector = frozenset(spec.node_selector.items())
    text = None if affinity is None else affinity.model_dump_json()
    return spec.node_name, selector, text, spec.tolerations, images


class StaticPart:
    """Verdicts and scores by the STATIC plugins.

    Parameters
    ----------
    profile : Profile
        The plugins.
    pod : PodClass
        A class.
    state : ClusterState
        The cluster.

    Attributes
    ----------
    verdicts : StaticVerdicts
        What the filters say.
    raw : dict of str to int64 array of shape [N]
        Raw scores, of the plugins that don't skip the class.
    extra : int64 array of shape [N]
        Sum of the weighted scores that need no normalising.
    taints, affinity : int64 array of shape [N]
        Raw scores of TaintToleration and NodeAffinity, zeros where they don't score.
    weights : tuple of (int, int)
        Their weights; 0 where all nodes are alike to them.
    version : int
        Grows with every change.
    """

    __slots__ = ("_cursor", "_cycle", "_filters", "_profile", "affinity", "extra", "raw", "taints",
                 "verdicts", "version", "weights")  # fmt: skip

    def __init__(self, profile: Profile, pod: PodClass, state: ClusterState) -> None:
        self._profile = profile
        self._cycle = Cycle(state, pod)
        self._cursor = Cursor()
        self._filters = static_filters(profile.filters)
        self.version = 0
        self.refresh(state.nodes)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Nodes that pass all STATIC filters, bool [N]."""
        return self.verdicts.ok

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring verdicts and scores up to date."""
        cursor = self._cursor
        if cursor.outgrown(nodes):
            self.verdicts = StaticVerdicts.of(self._filters, self._cycle)
            self._score(nodes)
        elif cursor.attributes != nodes.attributes.count:
            self.verdicts.refresh(self._filters, self._cycle, cursor.changed_attributes(nodes))
            self._score(nodes)

    def _score(self, nodes: NodeColumns) -> None:
        """Score all nodes: one that comes or goes may change the score of others (images)."""
        self.version += 1
        rows = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
        none = np.zeros(nodes.size, np.int64)
        self.raw: dict[str, Scores] = {}
        self.extra, self.taints, self.affinity = none, none, none
        weight_taints = weight_affinity = 0
        for plugin, weight in self._profile.scores:
            if depends_on(plugin) is not Depends.STATIC:
                continue
            if skips_score(plugin, self._cycle, NO_ROWS):
                continue
            raw = self.raw[plugin.name] = np.zeros(nodes.size, np.int64)
            raw[rows] = plugin.score(self._cycle, rows)
            if isinstance(plugin, TaintToleration):
                self.taints, weight_taints = raw, weight if raw.any() else 0
            elif isinstance(plugin, NodeAffinity):
                self.affinity, weight_affinity = raw, weight if raw.any() else 0
            elif not hasattr(plugin, "normalize"):
                self.extra = self.extra + weight * raw
        self.weights = (weight_taints, weight_affinity)
