"""PodTopologySpread: pods that belong together spread evenly over zones, hosts or other domains.

``DoNotSchedule`` constraints filter: a node fails when its domain would be ahead of the emptiest
one by more than maxSkew. ``ScheduleAnyway`` constraints score: the fewer matching pods in a node's
domains, the better. A pod without constraints gets those of the profile, which count the pods that
its Services and its controller select; built in are maxSkew 3 over hosts and 5 over zones, both
soft.

This is the plain form, counted anew for every pod from `ClusterState.terms`. What a class asks for
is in `spread_constraints`, for whoever keeps sums per domain up to date instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schedlab.api.pods import TopologySpreadConstraint
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import HOSTNAME, ZONE, NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import (
    GO_ON,
    MAX_NODE_SCORE,
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rows,
    Scores,
)
from schedlab.scheduling.plugins.default_selector import default_selector
from schedlab.scheduling.plugins.spread_constraints import (
    Counts,
    Spread,
    SpreadConstraint,
    compiled,
    domains,
    narrowed,
    per_domain,
    pods_per_node,
)

REASON = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = REASON + " (missing required label)"
SKEW, LABEL = 1, 2

SYSTEM_DEFAULTS = tuple(
    TopologySpreadConstraint(
        topology_key=key, max_skew=max_skew, when_unsatisfiable="ScheduleAnyway"
    )
    for key, max_skew in ((HOSTNAME, 3), (ZONE, 5))
)
"""Constraints of pods without any, where the profile's ``defaultingType`` is ``System``."""


@dataclass(frozen=True, slots=True, eq=False)
class HardCounts:
    """What a hard constraint compares.

    Attributes
    ----------
    of : int32 array of shape [N]
        Domain of each node, -1 = none.
    matching : int64 array of shape [D + 1]
        Matching pods per domain, over the eligible nodes.
    least : int
        That of the emptiest domain, 0 with fewer domains than ``minDomains``.
    """

    of: NDArray[np.int32]
    matching: Counts
    least: int


@dataclass(frozen=True, slots=True, eq=False)
class SoftCounts:
    """What a soft constraint adds to the score.

    Attributes
    ----------
    matching : int64 array of shape [N]
        Matching pods in each node's domain.
    weight : float
        ``log(domains + 2)``: pods spread thin over many domains would count for little otherwise.
    """

    matching: Counts
    weight: float


class PodTopologySpread:
    """Filter and score by topology spread constraints.

    Parameters
    ----------
    default_constraints : tuple of TopologySpreadConstraint, optional
        Those of pods without any (``defaultingType: List``); by default `SYSTEM_DEFAULTS`, which
        also take nodes that lack one of the topology keys.
    """

    name = "PodTopologySpread"
    depends = Depends.DOMAIN

    def __init__(
        self, default_constraints: tuple[TopologySpreadConstraint, ...] | None = None
    ) -> None:
        self._system = default_constraints is None
        self._defaults = SYSTEM_DEFAULTS if default_constraints is None else default_constraints

    # --- what the class asks for ----------------------------------------------------------------

    def hard_constraints(self, cycle: Cycle) -> Spread:
        """Return the ``DoNotSchedule`` constraints of the cycle's class, compiled.

        They follow from the class, ``nodes.attributes`` and, by default constraints, the versions
        of `default_selector.KINDS`.
        """
        return cycle.memo((self.name, "hard"), lambda: self._compiled(cycle, "DoNotSchedule"))

    def soft_constraints(self, cycle: Cycle) -> Spread:
        """Return the ``ScheduleAnyway`` constraints, as `hard_constraints`."""
        return cycle.memo((self.name, "soft"), lambda: self._compiled(cycle, "ScheduleAnyway"))

    def _compiled(
        self, cycle: Cycle, strength: Literal["DoNotSchedule", "ScheduleAnyway"]
    ) -> Spread:
        state, pod = cycle.state, cycle.pod_class
        own = pod.spec.topology_spread_constraints
        wanted = [c for c in own or self._defaults if c.when_unsatisfiable == strength]
        if own:
            return compiled(cycle, [(c, narrowed(state, c, pod)) for c in wanted], all_keys=True)
        selector = default_selector(state, pod) if wanted else None
        if selector is None:
            wanted = []
        # only hard constraints need all their labels whoever has stated them
        all_keys = not self._system or strength == "DoNotSchedule"
        return compiled(cycle, [(c, selector) for c in wanted], all_keys=all_keys)

    def may_filter(self, pod: PodClass) -> bool:
        """Return whether pods of a class have hard constraints, or may get some by default."""
        own = pod.spec.topology_spread_constraints
        return any(c.when_unsatisfiable == "DoNotSchedule" for c in own or self._defaults)

    # --- filter ---------------------------------------------------------------------------------

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Skip pods without hard constraints."""
        return GO_ON if self.hard_constraints(cycle).constraints else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return `LABEL` or `SKEW` where the first constraint that fails lacks the key, or skews.

        ``matching pods + 1 if the pod matches itself - least matching > maxSkew`` fails.
        """
        codes = np.zeros(len(rows), np.int64)
        constraints = self.hard_constraints(cycle).constraints
        for constraint, counts in zip(constraints, self._hard_counts(cycle), strict=True):
            domain = counts.of[rows]
            skew = counts.matching[domain] + constraint.self_match - counts.least
            verdict = np.where(domain < 0, LABEL, np.where(skew > constraint.max_skew, SKEW, 0))
            codes = np.where(codes == 0, verdict, codes)
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return whether pods of another class are among those that a hard constraint counts."""
        objects = cycle.state.objects
        constraints = self.hard_constraints(cycle).constraints
        return any(constraint.term.matches(other, objects) for constraint in constraints)

    def _hard_counts(self, cycle: Cycle) -> tuple[HardCounts, ...]:
        return cycle.memo(
            (self.name, "filter"),
            lambda: tuple(
                hard_counts(cycle.state, constraint)
                for constraint in self.hard_constraints(cycle).constraints
            ),
        )

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON_LABEL if code == LABEL else REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions may help against skew, but not against a missing label."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE if code == LABEL else Code.UNSCHEDULABLE

    # --- score ----------------------------------------------------------------------------------

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Count over the feasible *rows*; return whether the pod has no soft constraints."""
        return not self._soft_counts(cycle, rows)

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Sum ``matching pods x weight + maxSkew - 1`` over the constraints, rounded half up.

        Nodes that lack one of the keys get 0, and by built-in constraints only those of the rest.
        """
        total = np.zeros(len(rows), np.float64)
        spread = self.soft_constraints(cycle)
        for constraint, counts in zip(
            spread.constraints, self._soft_counts(cycle, rows), strict=True
        ):
            has = domains(cycle.nodes, constraint.topology_key)[rows] >= 0
            part = counts.matching[rows] * counts.weight + float(constraint.max_skew - 1)
            total += np.where(has, part, 0.0)
        whole = np.floor(total)
        rounded = (whole + (total - whole >= 0.5)).astype(np.int64)
        return np.where(self._ignored(cycle, rows), 0, rounded)

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Return ``100 (max + min - raw) / max``, 0 for nodes that lack a key."""
        ignored = self._ignored(cycle, rows)
        most = int(raw[~ignored].max(initial=0))
        if not most:
            return np.where(ignored, 0, MAX_NODE_SCORE)
        least = int(raw[~ignored].min())
        return np.where(ignored, 0, MAX_NODE_SCORE * (most + least - raw) // most)

    def _ignored(self, cycle: Cycle, rows: Rows) -> NDArray[np.bool_]:
        spread = self.soft_constraints(cycle)
        if not spread.all_keys:
            return np.zeros(len(rows), np.bool_)
        return ~spread.labelled[rows]

    def _soft_counts(self, cycle: Cycle, rows: Rows) -> tuple[SoftCounts, ...]:
        def make() -> tuple[SoftCounts, ...]:
            spread, scored = self.soft_constraints(cycle), rows[~self._ignored(cycle, rows)]
            return tuple(soft_counts(cycle.state, c, scored) for c in spread.constraints)

        return cycle.memo((self.name, "score"), make)


def hard_counts(state: ClusterState, constraint: SpreadConstraint) -> HardCounts:
    """Count for a hard constraint."""
    of = domains(state.nodes, constraint.topology_key)
    matching, known = per_domain(of, pods_per_node(state, constraint), constraint.eligible)
    enough = np.count_nonzero(known) >= constraint.min_domains
    return HardCounts(of, matching, int(matching[known].min()) if enough else 0)


def soft_counts(state: ClusterState, constraint: SpreadConstraint, scored: Rows) -> SoftCounts:
    """Count for a soft constraint.

    Parameters
    ----------
    state : ClusterState
        The cluster.
    constraint : SpreadConstraint
        The constraint.
    scored : int64 array of shape [F]
        Feasible nodes that are not ignored; the weight follows from the number of their domains.
    """
    pods = pods_per_node(state, constraint)
    if constraint.topology_key == HOSTNAME:  # each node by itself, be it eligible or not
        return SoftCounts(pods, math.log(len(scored) + 2))
    of = _with_the_unlabelled(state.nodes, domains(state.nodes, constraint.topology_key))
    matching, _ = per_domain(of, pods, constraint.eligible)
    return SoftCounts(matching[of], math.log(len(np.unique(of[scored])) + 2))


def _with_the_unlabelled(nodes: NodeColumns, of: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return domains with nodes that lack the label in that of the empty value, as upstream."""
    empty = nodes.label_values.get("")
    return of if empty < 0 else np.where(of == empty, np.int32(-1), of)
