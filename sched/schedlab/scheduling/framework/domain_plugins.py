"""PodTopologySpread and InterPodAffinity as entries of the compiled choice.

The plugins say of what their answers are made (constraints and live columns of counts); this module
writes it in the form of `schedlab.scheduling.framework.domains`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from schedlab.cluster.nodes import HOSTNAME
from schedlab.scheduling.framework.choice import AFFINITY, ANTI, PREFERRED, SOFT, SPREAD
from schedlab.scheduling.framework.domains import Column, DomainEntry
from schedlab.scheduling.framework.interface import Cycle, Rows, prepared
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.default_selector import default_selector
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.inter_pod_counts import preferred, required
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread
from schedlab.scheduling.plugins.spread_constraints import Spread


class Found(NamedTuple):
    """What the domain plugins of a profile say of a class."""

    entries: tuple[DomainEntry, ...]
    """What is counted, and what follows."""
    weight_spreading: int
    """Weight of PodTopologySpread's score."""
    weight_affinity: int
    """Weight of InterPodAffinity's score."""
    all_keys: bool
    """Nodes that lack a soft constraint's key score nothing."""
    exact: bool
    """The entries say it all; otherwise the plugins have to be asked."""


NOTHING = Found((), 0, 0, all_keys=False, exact=True)


class DomainPlugins:
    """The domain plugins of a profile.

    Parameters
    ----------
    profile : Profile
        The profile.
    """

    def __init__(self, profile: Profile) -> None:
        kinds = (PodTopologySpread, InterPodAffinity)
        self._filters: list[Any] = [p for p in profile.filters if isinstance(p, kinds)]
        self._scores: list[tuple[Any, int]] = [
            (p, weight) for p, weight in profile.scores if isinstance(p, kinds)
        ]

    def entries(self, cycle: Cycle) -> Found:
        """Return what the filters and scores are made of for the class of *cycle*."""
        found: list[DomainEntry] = []
        pod, carried = cycle.pod_class, cycle.state.carried
        near = pod.spec.affinity is not None or bool(carried.about(pod))
        spreads = _spreads(cycle)
        if not (near or spreads):
            return NOTHING
        for plugin in self._filters:
            if isinstance(plugin, InterPodAffinity):
                found += _required(cycle) if near else []
            elif spreads:
                found += _spread(cycle, plugin.hard_constraints(cycle), SPREAD)
        weight_spreading = weight_affinity = 0
        all_keys = False
        for plugin, weight in self._scores:
            if isinstance(plugin, InterPodAffinity):
                weight_affinity = weight
                found += _preferred(plugin, cycle) if near else []
            elif spreads:
                weight_spreading = weight
                soft = plugin.soft_constraints(cycle)
                found += _spread(cycle, soft, SOFT)
                all_keys = soft.all_keys
        # built-in constraints put nodes without the label and those with an empty one together
        odd = not all_keys and weight_spreading and cycle.nodes.label_values.get("") >= 0
        return Found(tuple(found), weight_spreading, weight_affinity, all_keys, not odd)

    def passing(self, cycle: Cycle, rows: Rows) -> Rows:
        """Return which of *rows* pass the filters, asked one by one, in the same order."""
        for plugin in self._filters:
            if len(rows) and not prepared(plugin, cycle).skip:
                rows = rows[plugin.filter(cycle, rows) == 0]
        return rows


def _spreads(cycle: Cycle) -> bool:
    """Return whether pods of the class may have constraints: own ones, or any by default."""
    pod = cycle.pod_class
    own = bool(pod.spec.topology_spread_constraints)
    return own or default_selector(cycle.state, pod) is not None


def _spread(cycle: Cycle, spread: Spread, kind: int) -> list[DomainEntry]:
    state, found = cycle.state, []
    for constraint in spread.constraints:
        sources: tuple[tuple[Column, int], ...] = ()
        if constraint.counted:
            sources = ((state.terms.of(constraint.term, state.nodes.size), 1),)
        by_node = kind == SOFT and constraint.topology_key == HOSTNAME
        found.append(
            DomainEntry(
                kind,
                constraint.topology_key,
                sources,
                None if by_node else constraint.eligible,  # a score by host counts every host
                constraint.max_skew,
                constraint.min_domains,
                int(constraint.self_match),
            )
        )
    return found


def _required(cycle: Cycle) -> list[DomainEntry]:
    terms = required(cycle.state, cycle.pod_class)
    found = [
        DomainEntry(AFFINITY, entry.topology_key, ((entry.counts, 1),), self_match=int(terms.alone))
        for entry in terms.near
    ]
    away: dict[str, list[tuple[Column, int]]] = {}
    for entry in (*terms.apart, *terms.repelling):
        away.setdefault(entry.topology_key, []).append((entry.counts, 1))
    return found + [DomainEntry(ANTI, key, tuple(columns)) for key, columns in away.items()]


def _preferred(plugin: InterPodAffinity, cycle: Cycle) -> list[DomainEntry]:
    by_key: dict[str, list[tuple[Column, int]]] = {}
    for entry in preferred(
        cycle.state,
        cycle.pod_class,
        plugin.hard_pod_affinity_weight,
        ignore_existing=plugin.ignore_preferred_terms_of_existing_pods,
    ):
        by_key.setdefault(entry.topology_key, []).append((entry.counts, entry.weight))
    return [DomainEntry(PREFERRED, key, tuple(columns)) for key, columns in by_key.items()]
