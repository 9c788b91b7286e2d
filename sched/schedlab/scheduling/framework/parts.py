"""The parts of all outlooks on one cluster, shared where classes are alike.

A class that is asked about for the first time gets spare parts: arrays that the next such class
takes over. Only what is asked for again lately is worth its memory: ten thousand classes of one pod
each cost neither ten thousand times the nodes, nor the time that fresh memory takes.
"""

from __future__ import annotations

from collections.abc import Callable

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.scheduling.framework.answers import AskedPlugins
from schedlab.scheduling.framework.class_cache import LeastRecent
from schedlab.scheduling.framework.domain_plugins import DomainPlugins
from schedlab.scheduling.framework.interface import Depends, depends_on, ignores_requests
from schedlab.scheduling.framework.node_part import BYTES_PER_NODE as NODE_BYTES
from schedlab.scheduling.framework.node_part import NodePart, Plans, asks
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.ranking import BYTES_PER_NODE as RANKING_BYTES
from schedlab.scheduling.framework.ranking import Layout, Ranking
from schedlab.scheduling.framework.static_part import BYTES_PER_NODE as STATIC_BYTES
from schedlab.scheduling.framework.static_part import (
    StaticPart,
    looks_anywhere,
    looks_at,
)
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

Key = tuple[object, ...]


class Parts:
    """The parts of all outlooks on one cluster.

    Parameters
    ----------
    profile : Profile
        The plugins.
    state : ClusterState
        The cluster.

    Attributes
    ----------
    domain_plugins : DomainPlugins
        The domain plugins of the profile.
    asked : AskedPlugins
        Those without a compiled form.
    moving : tuple of str
        Filters whose verdicts change with the pods on the nodes, but for NodeResourcesFit.
    by_form : bool
        Classes of one form look alike to all plugins but those of resources.
    """

    def __init__(self, profile: Profile, state: ClusterState) -> None:
        self.profile = profile
        self.state = state
        self.domain_plugins = DomainPlugins(profile)
        self.asked = AskedPlugins(profile)
        self.moving = tuple(
            plugin.name
            for plugin in profile.filters
            if depends_on(plugin) is not Depends.STATIC and not isinstance(plugin, NodeResourcesFit)
        )
        scorers = (scorer for scorer, _ in profile.scores)
        self.by_form = all(ignores_requests(plugin) for plugin in (*profile.filters, *scorers))
        self._plans = Plans(profile)
        self._anywhere = looks_anywhere(profile)
        self._numbers: Vocabulary[Key] = Vocabulary()  # short keys for long ones
        self._static_keys: dict[int, Key] = {}
        self._node_keys: dict[int, Key] = {}
        size = max(1, state.nodes.size)
        self._statics: LeastRecent[StaticPart] = LeastRecent(STATIC_BYTES * size)
        self._nodes: LeastRecent[NodePart] = LeastRecent(NODE_BYTES * size)
        self._layouts: LeastRecent[Layout] = LeastRecent(RANKING_BYTES * size)
        self._rankings: LeastRecent[Ranking] = LeastRecent(RANKING_BYTES * size)
        self._spare: NodePart | None = None

    def static(self, pod: PodClass) -> tuple[Key, StaticPart]:
        """Return the static part of a class, up to date, and its key."""
        key = self._static_keys.get(pod.form)
        if key is None:
            looks = (pod.id,) if self._anywhere else looks_at(pod)
            key = (self._numbers.add(("static", looks)),)
            if not self._anywhere:
                self._static_keys[pod.form] = key
        found = self._statics.get(key, lambda: StaticPart(self.profile, pod, self.state))
        found.refresh(self.state.nodes)
        return key, found

    def node(self, pod: PodClass, *, keep: bool) -> tuple[Key, NodePart]:
        """Return the resource part of a class, and its key; the spare one if asked for once."""
        key = self._node_keys.get(pod.id)
        if key is None:
            key = self._node_keys[pod.id] = (self._numbers.add(("node", asks(pod))),)
        if keep:
            return key, self._nodes.get(key, lambda: NodePart(self._plans, pod, self.state))
        return key, self._nodes.again(key, lambda again: self._new_node(pod, keep=again))

    def _new_node(self, pod: PodClass, *, keep: bool) -> NodePart:
        if keep or self._spare is None:
            made = NodePart(self._plans, pod, self.state)
            if keep:
                return made
            self._spare = made
        else:
            self._spare.turn_to(pod, self.state)
        return self._spare

    def layout(self, key: Key, make: Callable[[], Layout]) -> Layout:
        """Return the layout under a key."""
        return self._layouts.get(key, make)

    def ranking(self, key: Key, layout: Layout, *, keep: bool) -> Ranking:
        """Return the ranking under a key; the spare one if asked for once."""
        nodes = self.state.nodes
        if keep:
            return self._rankings.get(key, lambda: Ranking(layout, nodes))
        return self._rankings.again(
            key, lambda again: Ranking(layout, nodes) if again else layout.spare(nodes)
        )
