"""Preemption where only resources decide: the whole dry run in one compiled call.

It may stand in for DefaultPreemption's trials when taking pods away can change nothing but
NodeResourcesFit's verdict: every other filter that is asked about the pod judges nodes by their
attributes alone, rejects them for good, and does so before NodeResourcesFit. Spreading, affinity,
host ports and volumes have then been skipped by their PreFilters. Pods nominated to a node hold
resources there.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.disruption import Budgets
from schedlab.scheduling.framework.evaluation import Evaluation, rivals
from schedlab.scheduling.framework.interface import Candidate, Cycle, Victim
from schedlab.scheduling.framework.pod_slots import ClassColumns, PodSlots
from schedlab.scheduling.framework.preemption_kernel import NO_VICTIMS, dry_run, helpful_rows
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.default_preemption import NO_VICTIMS as NO_VICTIMS_FOUND
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_name import NodeName
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.taint_toleration import TaintToleration

FINAL = (NodeUnschedulable, NodeName, TaintToleration, NodeAffinity)
"""Filters that judge nodes by their attributes, and never mend when pods go."""

Column = NDArray[np.int64]
NONE: Column = np.zeros(0, np.int64)


class Searched(NamedTuple):
    """What a search for victims found."""

    candidates: list[Candidate]
    """All of them, or only the best."""
    reasons: Counter[str]
    """Where there is no candidate: how many nodes gave each reason."""
    nodes: int
    """On how many nodes evictions could have helped."""


def fit_alone(profile: Profile, found: Evaluation) -> tuple[int, NodeResourcesFit] | None:
    """Return NodeResourcesFit and its number, if only its verdict can change as pods go."""
    if found.rejection is not None:
        return None
    at = -1
    fit: NodeResourcesFit | None = None
    for number, plugin in enumerate(profile.filters):
        if plugin.name in found.skip_filter:
            continue
        if type(plugin) is NodeResourcesFit and fit is None:
            at, fit = number, plugin
        elif fit is not None or type(plugin) not in FINAL:
            return None
    return None if fit is None else (at, fit)


class ResourcePreemption:
    """Dry runs on one cluster.

    Parameters
    ----------
    state : ClusterState
        The cluster.
    """

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self._slots = PodSlots(state)
        self._classes = ClassColumns(state)
        self._covers = _Covers()
        self._compile()

    def _compile(self) -> None:
        """Have the kernel compiled now: a call that compiles holds on to its arguments.

        It would pin the buffer of ``ClusterState.start_us``, which grows with every pod.
        """
        state = self.state
        self._classes.refresh()
        asked, columns = (
            np.zeros((2, 0), np.int64),
            (state.nodes.allocatable, state.nodes.requested),
        )
        tables = (self._slots.arrays, self._classes.arrays, self._covers.arrays)
        dry_run(NONE, 0, 0, asked, 0, columns, *tables, NONE, NONE, (NONE, NONE))

    def search(
        self,
        cycle: Cycle,
        found: Evaluation,
        fit: tuple[int, NodeResourcesFit],
        budgets: Budgets,
        *,
        offset: Callable[[int], int],
        wanted: Callable[[int], int],
        lists_all: bool,
    ) -> Searched:
        """Look for victims.

        Parameters
        ----------
        cycle, found
            The pod, and what the filters said.
        fit : tuple of (int, NodeResourcesFit)
            What `fit_alone` returned.
        budgets : Budgets
            The budgets as they are now, none with disrupted pods.
        offset, wanted : callable
            Of the number of nodes that could help: which to begin with, and after how many
            candidates to end.
        lists_all : bool
            Return all candidates instead of only the best.
        """
        state, nodes = self.state, self.state.nodes
        self._slots.refresh()
        self._classes.refresh()
        self._covers.refresh(budgets, state)
        number, plugin = fit
        pairs = plugin.wanted(cycle.pod_class, nodes)
        asked = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
        rows = helpful_rows(found.rows, found.rejected_by, number, asked, nodes.allocatable)
        best, places, ends, victims, outcomes = dry_run(
            rows,
            offset(len(rows)),
            wanted(len(rows)),
            asked,
            cycle.pod_class.priority,
            (nodes.allocatable, nodes.requested),
            self._slots.arrays,
            self._classes.arrays,
            self._covers.arrays,
            np.array(budgets.allowed, np.int64),
            start_times(state),
            _nominated(cycle),
        )
        reasons: Counter[str] = Counter()
        if best < 0:
            for code, count in Counter(outcomes.tolist()).items():
                none_lower = code == NO_VICTIMS
                words = (NO_VICTIMS_FOUND,) if none_lower else plugin.reasons(cycle, -1, code)
                reasons.update(dict.fromkeys(words, count))
            return Searched([], reasons, len(rows))
        order = range(len(places)) if lists_all else (best,)
        found_all = [
            Candidate(
                int(places[at, 0]),
                tuple(self._victim(pod) for pod in victims[ends[at] : ends[at + 1]].tolist()),
                int(places[at, 1]),
            )
            for at in order
        ]
        found_all.sort(key=lambda candidate: candidate.violations > 0)
        return Searched(found_all, reasons, len(rows))

    def _victim(self, pod: int) -> Victim:
        state = self.state
        return Victim(pod, state.pods_on[state.node_of[pod]][pod].priority)


class _Covers:
    """Which budgets cover the pods of each class."""

    def __init__(self) -> None:
        self._budgets: Budgets | None = None
        self._known = 0
        self._numbers = array("q")
        self._first: Column = np.zeros(16, np.int64)
        self._length: Column = np.zeros(16, np.int64)
        self.arrays = (self._first, self._length, np.zeros(0, np.int64))

    def refresh(self, budgets: Budgets, state: ClusterState) -> None:
        """Bring the arrays up to date: classes are added, budgets are replaced as a whole."""
        if budgets is not self._budgets:
            self._budgets, self._known, self._numbers = budgets, 0, array("q")
        classes = state.classes
        if self._known == len(classes):
            return
        if len(classes) > len(self._first):
            self._first = np.resize(self._first, 2 * len(classes))
            self._length = np.resize(self._length, 2 * len(classes))
        for number in range(self._known, len(classes)):
            covering = budgets.of(classes[number])
            self._first[number], self._length[number] = len(self._numbers), len(covering)
            self._numbers.extend(covering)
        self._known = len(classes)
        self.arrays = (self._first, self._length, np.array(self._numbers, np.int64))


def _nominated(cycle: Cycle) -> tuple[Column, Column]:
    """Return nodes and classes of the pods that the pod has to leave room for."""
    state = cycle.state
    if not state.nominated:
        return NONE, NONE
    pods = [(row, pod) for row, group in rivals(cycle).items() for pod in group]
    rows = np.array([row for row, _ in pods], np.int64)
    return rows, np.array([state.nominated[pod][1].id for _, pod in pods], np.int64)


def start_times(state: ClusterState) -> Column:
    """Return when the pods were started, -1 = not yet, int64 [P].

    Without a copy where the state holds an ``array("q")`` or an int64 array.
    """
    start = state.start_us
    if isinstance(start, np.ndarray):
        return start.astype(np.int64, copy=False)
    if isinstance(start, array):
        return np.frombuffer(start, np.int64) if len(start) else NONE
    if isinstance(start, Mapping):
        dense = np.full(max(start, default=-1) + 1, -1, np.int64)
        dense[list(start)] = list(start.values())
        return dense
    return np.array(start, np.int64)
