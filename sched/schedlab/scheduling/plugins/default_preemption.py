"""DefaultPreemption: evict pods of lower priority where that lets a pod in.

On every node that rejected the pod for want of something that pods hold, all pods of lower priority
are taken away for a trial; if the pod passes then, as many as possible are let back in, the most
important first, those whose eviction would violate a PodDisruptionBudget before all others. Who
stays out is a victim. Of the nodes the one is taken that violates the fewest budgets, whose most
important victim is the least important, and so on down upstream's list (`preference`).

Among victims of the same priority the one that runs for longer is the more important. Where pods
were started at the same moment upstream's order is accidental; here it is that of their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import (
    Candidate,
    Code,
    Cycle,
    FilterPlugin,
    PostFiltered,
    Rejection,
    Victim,
    fit_error,
    is_upstreams,
)

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod
    from schedlab.scheduling.framework.disruption import Budgets
    from schedlab.scheduling.framework.evaluation import Evaluation
    from schedlab.scheduling.framework.runtime import Framework, Trial

NEVER = "not eligible due to preemptionPolicy=Never."
WAITING = "not eligible due to a terminating pod on the nominated node."
NO_VICTIMS = "No preemption victims found for incoming pod"
NO_HELP = "Preemption is not helpful for scheduling"
NO_NODES = "no nodes available"
NOT_STARTED = 1 << 62
"""Upstream takes the present for the start of a pod that has none: later than all others."""


class DefaultPreemption:
    """Make room for a pod that fits nowhere.

    Parameters
    ----------
    min_candidate_nodes_percentage : int, default 10
        Share of the nodes that could help on which to look for victims, in per cent.
    min_candidate_nodes_absolute : int, default 100
        Look at no fewer than this many (or all there are).
    """

    name = "DefaultPreemption"

    def __init__(
        self, min_candidate_nodes_percentage: int = 10, min_candidate_nodes_absolute: int = 100
    ) -> None:
        self.min_candidate_nodes_percentage = min_candidate_nodes_percentage
        self.min_candidate_nodes_absolute = min_candidate_nodes_absolute

    def pre_enqueue(self, pod: Pod, state: ClusterState) -> Rejection | None:
        """Let the pod into the queue.

        Upstream holds it back while the evictions that it caused are still being sent. Here they
        are sent as part of the decision, so there is no such moment.
        """
        return None

    def post_filter(self, cycle: Cycle, found: Evaluation, framework: Framework) -> PostFiltered:
        """Return the best node with its victims, or why there is none."""
        why = self._ineligible(cycle, found, framework)
        if why:
            return PostFiltered(rejection=_unschedulable(why), eligible=False)
        if not len(found.rows):
            return PostFiltered(rejection=Rejection(Code.ERROR, (f"preemption: {NO_NODES}",)))
        candidates, reasons, helpful = self._search(cycle, found, framework)
        if not candidates:
            absent = len(found.rows) - helpful
            if absent:
                reasons[NO_HELP] += absent
            return PostFiltered(rejection=_unschedulable(fit_error(len(found.rows), reasons)))
        best = min(candidates, key=lambda candidate: preference(candidate, cycle.state))
        shown = tuple(candidates) if framework.lists_candidates else ()
        return PostFiltered(best, candidates=shown)

    def _search(
        self, cycle: Cycle, found: Evaluation, framework: Framework
    ) -> tuple[list[Candidate], Counter[str], int]:
        """Return candidates, reasons where there is none, and how many nodes could help."""
        budgets = framework.budgets(cycle.state)

        trial: Trial | None = None

        def on_node(row: int) -> Candidate | Rejection:
            nonlocal trial
            trial = framework.trial(cycle, found) if trial is None else trial
            return select_victims(cycle, row, trial, budgets)

        quick = framework.search_by_arrays(cycle, found, self.candidates_wanted, on_node)
        if quick is not None:
            return quick
        rows = helpful(cycle, found, framework.profile.filters)
        begin, wanted = framework.offset(cycle, len(rows)), self.candidates_wanted(len(rows))
        answers = map(on_node, np.roll(rows, -begin).tolist())
        return *collected(answers, wanted), len(rows)

    def candidates_wanted(self, nodes: int) -> int:
        """Return after how many candidates among *nodes* the search ends."""
        share = nodes * self.min_candidate_nodes_percentage // 100
        return min(max(share, self.min_candidate_nodes_absolute), nodes)

    def _ineligible(self, cycle: Cycle, found: Evaluation, framework: Framework) -> str:
        """Return why the pod may not preempt, "" when it may."""
        if cycle.pod_class.spec.preemption_policy == "Never":
            return NEVER
        state = cycle.state
        nominated = None if cycle.pod is None else state.nominated.get(cycle.pod.row)
        if nominated is None:
            return ""
        row = nominated[0]
        if self._hopeless(cycle, found, framework, row):
            return ""
        waiting = state.preempted.intersection(_pods_on(state, row))
        lower = _lower(state, row, cycle.pod_class.priority)
        return WAITING if any(pod in waiting for pod, _ in lower) else ""

    def _hopeless(self, cycle: Cycle, found: Evaluation, framework: Framework, row: int) -> bool:
        """Return whether the filters have ruled a node out for good."""
        if found.rejection is not None:
            return found.rejection[1].code == Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        at = int(np.searchsorted(found.rows, row))
        if at == len(found.rows) or found.rows[at] != row:
            return True
        status = _status(cycle, found, framework.profile.filters, at)
        return status == Code.UNSCHEDULABLE_AND_UNRESOLVABLE


def helpful(
    cycle: Cycle, found: Evaluation, filters: Sequence[FilterPlugin], *, beside: int = -1
) -> NDArray[np.int64]:
    """Return the rows of the nodes where evictions could help, in order, int64 [H].

    Those that filter number *beside* rejects are left out.
    """
    numbers = [] if found.rejection is not None else [n for n in found.rejecting() if n != beside]
    if not numbers:
        return found.rows[:0]
    good = np.zeros(len(found.rows), np.bool_)
    for by in numbers:
        places = np.flatnonzero(found.rejected_by == by)
        plugin, codes = filters[by], found.codes[places]
        if is_upstreams(plugin) and plugin.name != "NodeResourcesFit":
            # what these say of a code holds for all nodes
            for code in np.unique(codes).tolist():
                alike = places[codes == code]
                status = _status(cycle, found, filters, int(alike[0]))
                good[alike] = status == Code.UNSCHEDULABLE
        else:
            for at in places.tolist():
                good[at] = _status(cycle, found, filters, at) == Code.UNSCHEDULABLE
    return found.rows[good]


def _status(cycle: Cycle, found: Evaluation, filters: Sequence[FilterPlugin], at: int) -> Code:
    """Return the status that the filters gave the node in place *at* of ``found.rows``."""
    by = int(found.rejected_by[at])
    if by == -1:
        return Code.SUCCESS
    if by < 0:  # a PreFilter's set of nodes leaves it out
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    return filters[by].status(cycle, int(found.rows[at]), int(found.codes[at]))


def collected(
    answers: Iterable[Candidate | Rejection], wanted: int
) -> tuple[list[Candidate], Counter[str]]:
    """Take what is found on node after node until *wanted* candidates are enough.

    Returns
    -------
    candidates : list of Candidate
        Those that violate no budget first. The search does not end before there is one of them.
    reasons : Counter of str
        How many nodes gave each reason.
    """
    clean: list[Candidate] = []
    violating: list[Candidate] = []
    reasons: Counter[str] = Counter()
    for answer in answers:
        if isinstance(answer, Rejection):
            reasons.update(answer.reasons)
            continue
        fitting = violating if answer.violations else clean
        if len(fitting) < wanted:
            fitting.append(answer)
        if clean and len(clean) + len(violating) >= wanted:
            break
    return clean + violating, reasons


def select_victims(cycle: Cycle, row: int, trial: Trial, budgets: Budgets) -> Candidate | Rejection:
    """Return the least that must go from a node to let the pod in, or why that is not enough."""
    state = cycle.state
    lower = _lower(state, row, cycle.pod_class.priority)
    if not lower:
        return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (NO_VICTIMS,))
    mark = state.mark()
    try:
        for pod, _ in lower:
            state.remove_pod(pod)
        rejection = trial.rejection(row)
        if rejection is not None:
            return rejection
        violating, others = budgets.split(lower)

        def stays_out(pod: int, pod_class: PodClass) -> bool:
            state.add_pod(pod, pod_class, row)
            if trial.still_passes(row):
                return False
            state.remove_pod(pod)
            return True

        out = [pod for pod in violating if stays_out(*pod)]
        violations = len(out)
        out += [pod for pod in others if stays_out(*pod)]
    finally:
        state.undo(mark)
    out.sort(key=lambda pod: importance(state, *pod))
    return Candidate(row, tuple(Victim(pod, c.priority) for pod, c in out), violations)


def _pods_on(state: ClusterState, row: int) -> dict[int, PodClass]:
    return state.pods_on[row] if row < len(state.pods_on) else {}


def _lower(state: ClusterState, row: int, priority: int) -> list[tuple[int, PodClass]]:
    """Return the pods of a node that have a lower priority, the most important first."""
    lower = [(p, c) for p, c in _pods_on(state, row).items() if c.priority < priority]
    lower.sort(key=lambda pod: importance(state, *pod))
    return lower


def importance(state: ClusterState, pod: int, pod_class: PodClass) -> tuple[int, int, int]:
    """Return a key that sorts pods by importance, the most important first."""
    return -pod_class.priority, started_us(state, pod), pod


def started_us(state: ClusterState, pod: int) -> int:
    """Return when a pod was started, `NOT_STARTED` when it wasn't yet."""
    try:
        started = state.start_us[pod]
    except LookupError:
        return NOT_STARTED
    return started if started >= 0 else NOT_STARTED


def preference(candidate: Candidate, state: ClusterState) -> tuple[int, int, int, int, int]:
    """Return a key that sorts candidates, the best first.

    Fewest violations of budgets; the lowest priority of the most important victim; the lowest sum
    of priorities, each raised so that a negative one counts as more than none; the fewest victims;
    of the victims of the highest priority, the one that ran longest was started last.
    """
    victims = candidate.victims
    highest = victims[0].priority
    earliest = min(started_us(state, v.pod) for v in victims if v.priority == highest)
    total = sum(victim.priority + (1 << 31) for victim in victims)
    return candidate.violations, highest, total, len(victims), -earliest


def _unschedulable(words: str) -> Rejection:
    return Rejection(Code.UNSCHEDULABLE, (f"preemption: {words}",))
