"""One decision in full: every verdict and every score, by the plugins' own vector code.

This is the plain form of what the engine keeps up to date incrementally: nothing is remembered
between decisions. It explains decisions, and it is the oracle that the engine is tested against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import (
    Code,
    Cycle,
    FilterPlugin,
    Rejection,
    Rows,
    Scores,
    fit_error,
    normalized,
    prepared,
    skips_score,
)
from schedlab.scheduling.framework.kernels import count_pairs
from schedlab.scheduling.framework.profiles import Profile

SMALL = 4096
PAIRS = 32
"""Pairs of filter and code that are counted in one pass; with more each filter counts its own."""
PREFILTER = -2
"""In `Evaluation.rejected_by`: a PreFilter's set of nodes leaves the node out."""


@dataclass
class Evaluation:
    """Verdicts and scores of one pod over the nodes of a cluster.

    Attributes
    ----------
    rows : int64 array of shape [N]
        Rows of the nodes, increasing.
    rejection : tuple of (str, Rejection), optional
        The plugin whose PreFilter says that no node will do, and why; nothing else was asked then.
    only : frozenset of str, optional
        Names of the nodes that the PreFilters leave.
    only_by : tuple of str
        The plugins that said so.
    skip_filter : list of str
        Plugins whose PreFilter said that their filter has nothing to say.
    rejected_by : int64 array of shape [N]
        Index (into the profile's filters) of the first that rejects each node; -1 = feasible;
        `PREFILTER` = not among *only*.
    codes : int64 array of shape [N]
        Its code.
    feasible : int64 array of shape [F]
        Rows of the feasible nodes.
    skip_score : list of str
        Plugins whose PreScore took them out.
    raw, weighted : dict of str to int64 array of shape [F]
        Raw scores, and normalised scores times weight, by plugin; plugins that skip are absent.
    total : int64 array of shape [F]
        Sum of the weighted scores.
    rejectors : tuple of int
        The values >= 0 in *rejected_by*, increasing; counted where they aren't given.
    """

    rows: Rows
    rejected_by: NDArray[np.int64]
    codes: NDArray[np.int64]
    feasible: Rows
    rejection: tuple[str, Rejection] | None = None
    only: frozenset[str] | None = None
    only_by: tuple[str, ...] = ()
    skip_filter: list[str] = field(default_factory=list)
    skip_score: list[str] = field(default_factory=list)
    raw: dict[str, Scores] = field(default_factory=dict)
    weighted: dict[str, Scores] = field(default_factory=dict)
    total: Scores = field(default_factory=lambda: np.zeros(0, np.int64))
    rejectors: tuple[int, ...] | None = None

    def rejecting(self) -> tuple[int, ...]:
        """Return the indices of the filters that reject some node, increasing."""
        if self.rejectors is None:
            by_filter = self.rejected_by[self.rejected_by >= 0]
            # counting costs a fifteenth of np.unique here
            self.rejectors = tuple(np.flatnonzero(np.bincount(by_filter)).tolist())
        return self.rejectors

    def message(self, cycle: Cycle, filters: Sequence[FilterPlugin]) -> str:
        """Return kube-scheduler's words for a pod that fits nowhere.

        Parameters
        ----------
        cycle : Cycle
            The pod's.
        filters : sequence of FilterPlugin
            Of the profile.
        """
        counts: Counter[str] = Counter()
        if self.rejection is not None:
            counts.update({words: len(self.rows) for words in self.rejection[1].reasons})
        elif not self._count_pairs(counts, cycle, filters):
            for by in (_distinct(self.rejected_by - PREFILTER)[0] + PREFILTER).tolist():
                at = (self.rejected_by == by).nonzero()[0]
                if by >= 0:
                    _count_reasons(counts, filters[by], cycle, self.rows[at], self.codes[at])
                elif by == PREFILTER:
                    counts.update(dict.fromkeys(_contradiction(self.only_by).reasons, len(at)))
        return fit_error(len(self.rows), dict(counts))

    def _count_pairs(
        self, counts: Counter[str], cycle: Cycle, filters: Sequence[FilterPlugin]
    ) -> bool:
        """Count in one pass over the nodes; return False where words differ by node."""
        pairs = np.empty((PAIRS, 4), np.int64)
        size = count_pairs(self.rejected_by, self.codes, pairs)
        found = [pair for pair in pairs[:size].tolist() if pair[0] >= 0]
        if size > PAIRS or len(found) < size:
            return False
        if any(getattr(filters[by], "words_by_node", False) for by, *_ in found):
            return False
        for by, code, number, first in found:
            for reason in filters[by].reasons(cycle, int(self.rows[first]), code):
                counts[reason] += number
        return True


def _count_reasons(
    counts: Counter[str], plugin: FilterPlugin, cycle: Cycle, rows: Rows, codes: NDArray[np.int64]
) -> None:
    """Add how many of *rows* a filter rejects in which words; a code has the same words on each.

    Plugins whose words depend on the node too say so by an attribute ``words_by_node``.
    """
    if getattr(plugin, "words_by_node", False):
        for row, code in zip(rows.tolist(), codes.tolist(), strict=True):
            counts.update(dict.fromkeys(plugin.reasons(cycle, row, code), 1))
        return
    row = int(rows[0])
    found, numbers = _distinct(codes)
    for code, number in zip(found.tolist(), numbers.tolist(), strict=True):
        for reason in plugin.reasons(cycle, row, code):
            counts[reason] += number


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct values of an array, and how often each is there."""
    if len(values) and not 0 <= values.min() <= values.max() < SMALL:
        return np.unique_counts(values)
    numbers = np.bincount(values)
    found = numbers.nonzero()[0]
    return found, numbers[found]


def evaluate(profile: Profile, cycle: Cycle) -> Evaluation:
    """Run all filters and scores of *profile* for the pod of *cycle*."""
    found = evaluate_filters(profile, cycle)
    found.total = np.zeros(len(found.feasible), np.int64)
    if not len(found.feasible):
        return found
    for plugin in profile.plugins("pre_score"):
        if skips_score(plugin, cycle, found.feasible):
            found.skip_score.append(plugin.name)
    for scorer, weight in profile.scores:
        if scorer.name not in found.skip_score:
            raw = found.raw[scorer.name] = scorer.score(cycle, found.feasible)
            scaled = normalized(scorer, cycle, found.feasible, raw)
            found.weighted[scorer.name] = scaled * weight
            found.total += found.weighted[scorer.name]
    return found


def evaluate_filters(profile: Profile, cycle: Cycle) -> Evaluation:
    """Run the PreFilters and filters of *profile*, nominated pods considered."""
    cycle.nodes.reserve_resources()
    rows = cycle.rows()
    found = Evaluation(
        rows, np.full(len(rows), -1, np.int64), np.zeros(len(rows), np.int64), rows[:0]
    )
    if not run_pre_filters(profile, cycle, found):
        return found
    if found.only is not None:
        names = cycle.nodes.names
        out = np.array([names[row] not in found.only for row in rows.tolist()], np.bool_)
        found.rejected_by[out] = PREFILTER
    asked = found.rejected_by == -1
    by, codes = first_rejections(profile, cycle, found.skip_filter, rows[asked])
    found.rejected_by[asked], found.codes[asked] = by, codes
    _reject_for_nominated(profile, cycle, found)
    found.feasible = rows[found.rejected_by == -1]
    return found


def run_pre_filters(profile: Profile, cycle: Cycle, found: Evaluation) -> bool:
    """Run the PreFilters into *found*; return whether any node can still do."""
    for plugin in profile.plugins("pre_filter"):
        answer = prepared(plugin, cycle)
        if answer.rejection is not None:
            found.rejection = (plugin.name, answer.rejection)
            return False
        if answer.skip:
            found.skip_filter.append(plugin.name)
            continue
        if answer.nodes is not None:
            found.only = answer.nodes if found.only is None else found.only & answer.nodes
            found.only_by += (plugin.name,)
            if not found.only:
                found.rejection = (plugin.name, _contradiction(found.only_by))
                return False
    return True


def _contradiction(plugins: tuple[str, ...]) -> Rejection:
    if len(plugins) == 1:
        words = f"node(s) didn't satisfy plugin {plugins[0]}"
    else:
        words = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(plugins))}] simultaneously"
    return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))


def first_rejections(
    profile: Profile, cycle: Cycle, skipped: list[str], rows: Rows
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, per row, the index of the first filter that rejects it (-1 = none) and its code."""
    by = np.full(len(rows), -1, np.int64)
    codes = np.zeros(len(rows), np.int64)
    open_rows = np.arange(len(rows))
    for index, plugin in enumerate(profile.filters):
        if plugin.name in skipped or not len(open_rows):
            continue
        answer = plugin.filter(cycle, rows[open_rows])
        rejected = answer != 0
        by[open_rows[rejected]] = index
        codes[open_rows[rejected]] = answer[rejected]
        open_rows = open_rows[~rejected]
    return by, codes


def _reject_for_nominated(profile: Profile, cycle: Cycle, found: Evaluation) -> None:
    """Ask again about nodes that hold nominations, with the nominated pods in place.

    A node has to pass both with and without them (upstream: they may never arrive).
    """
    pending = rivals(cycle)
    if not pending:
        return
    for index, row in enumerate(found.rows.tolist()):
        if row not in pending or found.rejected_by[index] == PREFILTER:
            continue
        by, code = rejected_beside(profile, cycle, found.skip_filter, row, pending[row])
        if by >= 0:  # the pass with them comes first, so its verdict is the one told
            found.rejected_by[index], found.codes[index] = by, code


def rejected_beside(
    profile: Profile, cycle: Cycle, skipped: list[str], row: int, nominated: list[int]
) -> tuple[int, int]:
    """Return the first filter that rejects a node with *nominated* pods on it, and its code.

    *skipped* are the plugins whose PreFilter said that they have nothing to say without those pods:
    as upstream, they aren't asked with them either. The filter is -1 where the node passes.
    """
    with nominated_in_place(cycle.state, nominated):
        crowded = Cycle(cycle.state, cycle.pod_class, cycle.pod)
        one = np.array([row], np.int64)
        by, codes = first_rejections(profile, crowded, skipped, one)
    return int(by[0]), int(codes[0])


def rivals(cycle: Cycle) -> dict[int, list[int]]:
    """Return the nominated pods that a pod has to leave room for, by node: not less important."""
    own = -1 if cycle.pod is None else cycle.pod.row
    found: dict[int, list[int]] = {}
    for pod, (node, pod_class) in cycle.state.nominated.items():
        if pod != own and pod_class.priority >= cycle.pod_class.priority:
            found.setdefault(node, []).append(pod)
    return found


@contextmanager
def nominated_in_place(state: ClusterState, pods: list[int]) -> Iterator[None]:
    """Let nominated *pods* hold what they ask for on their nodes, for a while."""
    mark = state.mark()
    try:
        for pod in pods:
            node, pod_class = state.nominated[pod]
            state.add_pod(pod, pod_class, node)
        yield
    finally:
        state.undo(mark)
