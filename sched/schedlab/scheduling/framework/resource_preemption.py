"""Preemption by arrays: dry runs of whole clusters in one compiled call.

Taking pods away from a node changes what NodeResourcesFit says there, and seldom anything else: a
filter that judges nodes by their attributes alone never minds, and others say by ``moved_by`` which
pods they look at. Where none of a node's pods of lower priority matters to any other filter, their
verdicts stand as they are and only resources have to be tried, by `preemption_kernel`. All other
nodes are tried on the cluster's state, as DefaultPreemption's plain form does everywhere: so do
nodes with nominated pods, unless resources are all that is asked, and pods whose disruption a
budget has counted already.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import LeastRecent
from schedlab.scheduling.framework.disruption import Budgets
from schedlab.scheduling.framework.evaluation import Evaluation, first_rejections, rivals
from schedlab.scheduling.framework.interface import (
    Candidate,
    Code,
    Cycle,
    Depends,
    FilterPlugin,
    Rejection,
    Rows,
    Victim,
    depends_on,
    is_upstreams,
)
from schedlab.scheduling.framework.pod_slots import ClassColumns, Memory, PodSlots
from schedlab.scheduling.framework.preemption_kernel import (
    NO_VICTIMS,
    dry_run,
    helpful_rows,
    touched_rows,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.default_preemption import NO_VICTIMS as NO_VICTIMS_FOUND
from schedlab.scheduling.plugins.default_preemption import collected, helpful
from schedlab.scheduling.plugins.dynamic_resources import DynamicResources
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit

Column = NDArray[np.int64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
DryRun = tuple[tuple[int, int, int], Column, Column, Column, Column]
SingleTrial = Callable[[int], Candidate | Rejection]
NONE: Column = np.zeros(0, np.int64)
NOTHING: Column = np.zeros((0, 7), np.int64)
KEPT = 64
"""For how many classes of preemptors to remember whom their filters mind."""


class Searched(NamedTuple):
    """What a search for victims found."""

    candidates: list[Candidate]
    """All of them, those first that violate no budget; or only the best, where that is enough."""
    reasons: Counter[str]
    """Where there is no candidate: how many nodes gave each reason."""
    nodes: int
    """On how many nodes evictions could have helped."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters that are asked about one pod: those that its PreFilters left.

    Attributes
    ----------
    profile : Profile
        Where they come from.
    number : int
        Place of NodeResourcesFit among the profile's filters.
    fit : NodeResourcesFit
        That filter.
    moving : tuple of FilterPlugin
        The others whose verdicts may change as pods go.
    later : bool
        Some of the others come after it.
    upstreams : bool
        All filters of the profile are kube-scheduler's own.
    """

    profile: Profile
    number: int
    fit: NodeResourcesFit
    moving: tuple[FilterPlugin, ...]
    later: bool
    upstreams: bool

    @classmethod
    def of(cls, profile: Profile, skipped: Collection[str]) -> Asked | None:
        """Return the filters that are not *skipped*; None without NodeResourcesFit among them."""
        left = [
            (i, plugin)
            for i, plugin in enumerate(profile.filters)
            if plugin.name not in skipped and type(plugin) is not DynamicResources
        ]  # DynamicResources lets every node pass, also where nobody asked whether it skips
        fits = [(i, p) for i, p in left if type(p) is NodeResourcesFit]
        if len(fits) != 1:
            return None
        number, fit = fits[0]
        moving = tuple(p for _, p in left if depends_on(p) is not Depends.STATIC and p is not fit)
        upstreams = all(map(is_upstreams, profile.filters))
        return cls(profile, number, fit, moving, left[-1][0] > number, upstreams)


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
        self._wanted: dict[int, Column] = {}
        self._minds: dict[tuple[object, ...], Codes] = {}
        self._memories: LeastRecent[Memory] = LeastRecent(56 * max(1, state.nodes.size))
        self._least = (-1, NONE)
        self._compile()

    def _compile(self) -> None:
        """Have the kernels compiled now: a call that compiles holds on to its arguments.

        It would pin the buffer of ``ClusterState.start_us``, which grows with every pod.
        """
        nodes = self.state.nodes
        self._classes.refresh()
        tables = (self._slots.arrays, self._classes.arrays, self._covers.arrays)
        columns = (nodes.allocatable, nodes.requested)
        asked = np.zeros((2, 0), np.int64)
        dry_run(NONE, 0, 0, asked, 0, columns, *tables, NONE, NONE, (NONE, NONE), NOTHING)
        touched_rows(NONE, *self._slots.arrays, self._classes.priority, 0, NONE)

    def search(
        self,
        cycle: Cycle,
        found: Evaluation,
        asked: Asked,
        budgets: Budgets,
        *,
        offset: Callable[[int], int],
        wanted: Callable[[int], int],
        trial: SingleTrial,
        lists_all: bool,
    ) -> Searched:
        """Look for victims.

        Parameters
        ----------
        cycle, found
            The pod, and what the filters said.
        asked : Asked
            The filters.
        budgets : Budgets
            The budgets as they are now.
        offset, wanted : callable
            Of the number of nodes that could help: which to begin with, and after how many
            candidates to end.
        trial : callable
            Looks for victims on one node, by its row, on the cluster's state.
        lists_all : bool
            Return all candidates instead of only the best.
        """
        self._slots.refresh()
        self._classes.refresh()
        self._covers.refresh(budgets, self.state)
        run = _Run(self, cycle, found, asked, budgets, self._amounts(cycle, asked))
        rows, resources_only = run.helpful()
        begin, limit = offset(len(rows)), wanted(len(rows))
        if resources_only and not asked.moving and not any(budgets.disrupted):
            candidates, outcomes = run.by_arrays(rows, limit, begin=begin, lists_all=lists_all)
            reasons = Counter() if candidates else run.reasons(outcomes)
            return Searched(candidates, reasons, len(rows))
        order = np.concatenate([rows[begin:], rows[:begin]])
        touched = self._touched(cycle, asked, budgets, order)
        if touched is None:
            open_rows = order if resources_only else order[run.obstacles(order)[0] < 0]
            candidates, outcomes = run.by_arrays(open_rows, limit, lists_all=lists_all)
            if candidates:
                return Searched(candidates, Counter(), len(rows))
            if resources_only:
                return Searched([], run.reasons(outcomes), len(rows))
            touched = np.zeros(len(order), np.bool_)
        candidates, reasons = collected(run.answers(order, touched, trial), limit)
        return Searched(candidates, reasons, len(rows))

    def _amounts(self, cycle: Cycle, asked: Asked) -> Column:
        """Return what NodeResourcesFit looks at: resources over amounts, int64 [2, W]."""
        known = self._wanted.get(cycle.pod_class.id)
        if known is None:
            pairs = asked.fit.wanted(cycle.pod_class, cycle.nodes)
            known = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
            self._wanted[cycle.pod_class.id] = known
        return known

    def dry_run(
        self, run: _Run, rows: Rows, wanted: int, *, begin: int = 0, remembers: bool = False
    ) -> DryRun:
        """Call the kernel; what it *remembers* has no victims in the answer."""
        state, priority = self.state, run.cycle.pod_class.priority
        memory = NOTHING
        if remembers:
            kept = self._memories.get((priority, run.amounts.tobytes()), Memory)
            kept.refresh(state, run.budgets)
            memory = kept.found
        found: DryRun = dry_run(
            rows,
            begin,
            wanted,
            run.amounts,
            priority,
            (state.nodes.allocatable, state.nodes.requested),
            self._slots.arrays,
            self._classes.arrays,
            self._covers.arrays,
            np.array(run.budgets.allowed, np.int64),
            start_times(state),
            _nominated(run.cycle),
            memory,
        )
        return found

    def least(self) -> Column:
        """Return the least that any node offers of each resource, int64 [R]."""
        nodes = self.state.nodes
        if self._least[0] != nodes.attributes.count:
            offers = nodes.allocatable[:, : nodes.size][:, nodes.present[: nodes.size]]
            self._least = (nodes.attributes.count, offers.min(axis=1, initial=1 << 62))
        return self._least[1]

    def _touched(self, cycle: Cycle, asked: Asked, budgets: Budgets, rows: Rows) -> Mask | None:
        """Return which of *rows* have to be tried on the state, bool [len(rows)]; None = none."""
        disrupted = budgets if any(budgets.disrupted) else None
        if not len(rows) or not (asked.moving or disrupted):
            return None
        kinds = self._kinds(cycle, asked)
        priority, classes = self._classes.priority, self.state.classes
        touched: Mask
        while True:
            touched, unknown = touched_rows(
                rows, *self._slots.arrays, priority, cycle.pod_class.priority, kinds
            )
            if not len(unknown):
                break
            for number in unknown.tolist():
                kinds[number] = _matters(cycle, classes[number], asked.moving, disrupted)
        if asked.moving and self.state.nominated:
            touched |= np.isin(rows, list(rivals(cycle)))
        return touched if touched.any() else None

    def _kinds(self, cycle: Cycle, asked: Asked) -> Codes:
        """Return, per class, whether its pods matter to more than resources; -1 = unknown."""
        names = (plugin.name for plugin in asked.moving)
        key = (cycle.pod_class.id, self.state.objects.changes, *names)
        known = self._minds.get(key)
        size = len(self._classes.priority)
        if known is None or len(known) < size:
            if len(self._minds) >= KEPT:
                self._minds.clear()
            kinds = np.full(size, -1, np.int64)
            if known is not None:
                kinds[: len(known)] = known
            known = self._minds[key] = kinds
        return known


@dataclass(frozen=True, slots=True)
class _Run:
    """One search."""

    owner: ResourcePreemption
    cycle: Cycle
    found: Evaluation
    asked: Asked
    budgets: Budgets
    amounts: Column

    def helpful(self) -> tuple[Rows, bool]:
        """Return the rows of the nodes where evictions could help, and if only resources matter.

        That is, whether NodeResourcesFit alone rejects all these nodes.
        """
        cycle, found, asked = self.cycle, self.found, self.asked
        filters = asked.profile.filters
        large = self.amounts[1] > self.owner.least()[self.amounts[0]]
        rows: Rows = found.rows
        only_fit = found.only is None and found.rejecting() == (asked.number,)
        if large.any() or not only_fit or len(found.feasible):
            rows = helpful_rows(
                found.rows,
                found.rejected_by,
                asked.number,
                self.amounts[:, large],
                cycle.nodes.allocatable,
            )
        final = not asked.moving and asked.upstreams
        # upstream's filters that judge nodes by their attributes never think that evictions help
        others = NONE if final else helpful(cycle, found, filters, beside=asked.number)
        if len(others):
            rows = np.sort(np.concatenate([rows, others]))
        return rows, not len(others) and not asked.later

    def obstacles(self, rows: Rows) -> tuple[Column, Column]:
        """Return the first filter beside NodeResourcesFit that rejects each row, and its code."""
        found, asked = self.found, self.asked
        at = np.searchsorted(found.rows, rows)
        by, codes = found.rejected_by[at].copy(), found.codes[at].copy()
        lacking = by == asked.number
        earlier = [plugin.name for plugin in asked.profile.filters[: asked.number + 1]]
        skipped = [*found.skip_filter, *earlier]
        by[lacking], codes[lacking] = first_rejections(
            asked.profile, self.cycle, skipped, rows[lacking]
        )
        return by, codes

    def by_arrays(
        self, rows: Rows, limit: int, *, lists_all: bool, begin: int = 0
    ) -> tuple[list[Candidate], Column]:
        """Return the candidates among *rows*, from which only resources keep the pod away.

        The second is the outcome on each row, see `preemption_kernel.dry_run`.
        """
        span, places, ends, victims, outcomes = self.owner.dry_run(
            self, rows, limit, begin=begin, remembers=not lists_all
        )
        best, first, last = span
        if best < 0:
            return [], outcomes
        if not lists_all:
            return [self._candidate(places[best], victims[first:last])], outcomes
        candidates = [
            self._candidate(place, victims[ends[k] : ends[k + 1]]) for k, place in enumerate(places)
        ]
        candidates.sort(key=lambda candidate: candidate.violations > 0)
        return candidates, outcomes

    def reasons(self, outcomes: Column) -> Counter[str]:
        """Return how many nodes gave each reason, where there is no candidate."""
        counts: Counter[str] = Counter()
        for outcome, count in Counter(outcomes.tolist()).items():
            counts.update(dict.fromkeys(self._words(outcome), count))
        return counts

    def _words(self, outcome: int) -> tuple[str, ...]:
        if outcome == NO_VICTIMS:
            return (NO_VICTIMS_FOUND,)
        return self.asked.fit.reasons(self.cycle, -1, outcome)

    def _candidate(self, place: Column, victims: Column) -> Candidate:
        state = self.owner.state
        found = tuple(
            Victim(pod, state.pods_on[state.node_of[pod]][pod].priority) for pod in victims.tolist()
        )
        return Candidate(int(place[0]), found, int(place[1]))

    def answers(
        self, rows: Rows, touched: Mask, trial: SingleTrial
    ) -> Iterator[Candidate | Rejection]:
        """Yield what is found on each of *rows*: by trials where *touched*, else by arrays."""
        own = rows[~touched]
        _, places, ends, victims, outcomes = self.owner.dry_run(self, own, len(own) + 1)
        by, codes = self.obstacles(rows)
        filters = self.asked.profile.filters
        tried = fitting = 0
        for k, row in enumerate(rows.tolist()):
            if touched[k]:
                yield trial(row)
                continue
            outcome = int(outcomes[tried])
            tried += 1
            fitting += outcome == 0
            first = by[k] if outcome == 0 or by[k] < self.asked.number else -1
            if outcome != NO_VICTIMS and first >= 0:
                words = filters[first].reasons(self.cycle, row, int(codes[k]))
                yield Rejection(Code.UNSCHEDULABLE, words)
            elif outcome != 0:
                yield Rejection(Code.UNSCHEDULABLE, self._words(outcome))
            else:
                place = fitting - 1
                yield self._candidate(places[place], victims[ends[place] : ends[place + 1]])


def _matters(
    cycle: Cycle, other: PodClass, moving: tuple[FilterPlugin, ...], budgets: Budgets | None
) -> bool:
    """Return whether more than resources changes when pods of a class go."""
    if budgets is not None and any(budgets.disrupted[n] for n in budgets.of(other)):
        return True
    for plugin in moving:
        moved_by = getattr(plugin, "moved_by", None)
        if moved_by is None or moved_by(cycle, other):
            return True
    return False


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
