"""Decisions on a scenario, pod by pod, with everything that led to them.

The semantics are those of the decisions recorded from the real kube-scheduler: pods are taken one
after the other, every node is filtered, scores are computed even where one node is left, ties go to
the first node. A pod that fits nowhere may preempt: the victims leave, the pod is checked again on
the node that was cleared and takes it; it is not tried a second time. The node that a pod is
nominated for counts when its turn comes, and no other pod makes room for it before. Reserve is run,
so that volumes are assumed; nothing is bound.

The plain evaluation of the framework is used, which remembers nothing from one pod to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from schedlab.errors import InputError
from schedlab.experiment.scenario import EPOCH, UNKNOWN_START, Scenario, time_us
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Trigger, Verdict
from schedlab.scheduling.framework.evaluation import (
    PREFILTER,
    Evaluation,
    evaluate,
    evaluate_filters,
)
from schedlab.scheduling.framework.interface import (
    Candidate,
    Code,
    Cycle,
    FilterPlugin,
    PostFiltered,
    Rejection,
)
from schedlab.scheduling.framework.profiles import Profile, read_profiles
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.view import ClusterView

Line = dict[str, Any]
TIE_BREAKS: Final = ("first", "random")
DEFAULT_NAME: Final = "default-scheduler"
SECOND: Final = 1_000_000
CODES: Final[Mapping[Code, str]] = {
    Code.SUCCESS: "Success",
    Code.ERROR: "Error",
    Code.UNSCHEDULABLE: "Unschedulable",
    Code.UNSCHEDULABLE_AND_UNRESOLVABLE: "UnschedulableAndUnresolvable",
    Code.WAIT: "Wait",
    Code.SKIP: "Skip",
    Code.PENDING: "Pending",
}
"""What upstream calls its status codes."""


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes
    ----------
    line : dict
        What was found and decided, in plain values (`schedlab decide` prints it as JSON).
    profile : Profile, optional
        The profile that the pod asked for; None where no evaluation was made.
    nodes : tuple of str
        All nodes in order; empty where no evaluation was made.
    """

    line: Line
    profile: Profile | None = None
    nodes: tuple[str, ...] = ()

    @property
    def pod(self) -> str:
        """``namespace/name`` of the pod."""
        return str(self.line["pod"])


def profiles_of(scenario: Scenario, config: str | Path | None = None) -> list[Profile]:
    """Return the profiles of a configuration file, of the scenario, or the default one.

    Raises
    ------
    InputError
        The configuration can't be used.
    """
    if config is not None:
        return read_profiles(config)
    if scenario.config is not None:
        try:
            return read_profiles(scenario.config, base=scenario.folder)
        except InputError as error:
            raise error.under("config") from None
    return [Profile.default()]


def decisions(
    scenario: Scenario, profiles: Sequence[Profile], *, tie_break: str = "first", seed: int = 0
) -> Iterator[Decision]:
    """Decide on the pending pods of a scenario, which changes with each decision.

    Parameters
    ----------
    scenario : Scenario
        The cluster; pods take their places in it.
    profiles : sequence of Profile
        A pod is decided by the one that its ``schedulerName`` names.
    tie_break : {"first", "random"}, default "first"
        Among the best nodes: the first, or one drawn by the pod's name.
    seed : int, default 0
        Seed of these draws.

    Yields
    ------
    Decision
        One a pending pod, in the order in which they are taken.
    """
    if tie_break not in TIE_BREAKS:
        raise InputError("tie_break", found=tie_break, expected=" or ".join(TIE_BREAKS))
    ties = Draws(seed).stream("ties") if tie_break == "random" else None
    decider = _Decider(scenario, profiles, ties)
    for k, row in enumerate(in_order(scenario, profiles)):
        yield decider.decide(row, time_us(UNKNOWN_START) + (k + 1) * SECOND)


def decision_on(scenario: Scenario, profiles: Sequence[Profile], name: str) -> Decision:
    """Decide on the pods of a scenario up to the one that is meant, and return its decision.

    Parameters
    ----------
    scenario : Scenario
        The cluster; it changes as in `decisions`.
    profiles : sequence of Profile
        As in `decisions`.
    name : str
        ``namespace/name`` of a pending pod, its name, or how one of them starts.

    Raises
    ------
    InputError
        No pending pod, or more than one, has such a name.
    """
    meant = _meant([scenario.pods[row].key for row in scenario.pending], name)
    return next(d for d in decisions(scenario, profiles) if d.pod == meant)


def _meant(keys: Sequence[str], name: str) -> str:
    for matches in (
        [key for key in keys if key == name],
        [key for key in keys if key.partition("/")[2] == name],
        [key for key in keys if key.startswith(name) or key.partition("/")[2].startswith(name)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            some = ", ".join(matches[:4])
            raise InputError(
                "pod", found=name, expected=f"one pod of the {len(matches)} that match: {some}"
            )
    some = ", ".join(keys[:3]) or "but there are none"
    raise InputError("pod", found=name, expected=f"the name of a pending pod, such as {some}")


def in_order(scenario: Scenario, profiles: Sequence[Profile]) -> list[int]:
    """Return the rows of the pending pods in the order in which they are taken."""
    if not scenario.by_queue:
        return list(scenario.pending)
    (sort,) = profiles[0].plugins("sort_key")
    since = {row: k for k, row in enumerate(scenario.pending)}
    return sorted(
        scenario.pending, key=lambda row: sort.sort_key(pod_of(scenario, row), since[row])
    )


def pod_of(scenario: Scenario, row: int) -> Pod:
    """Return a pending pod as policies see it."""
    name = scenario.pods[row].key
    return Pod(row, scenario.classes[row], name, entity_key(name), 1, 0, -1)


class _Decider:
    """Takes the pods of one scenario one after the other."""

    def __init__(self, scenario: Scenario, profiles: Sequence[Profile], ties: Draws | None) -> None:
        self._scenario = scenario
        self._state = scenario.state
        self._ties = ties
        self._frameworks = {
            profile.scheduler_name: Framework(profile, lists_candidates=True)
            for profile in profiles
        }
        self._started = list(scenario.state.start_us)
        scenario.state.start_us = self._started
        self._nominated = dict(scenario.state.nominated)
        scenario.state.nominated.clear()

    def decide(self, row: int, now_us: int) -> Decision:
        """Decide on the pod in *row*; it starts at *now_us* where it is placed."""
        pod = pod_of(self._scenario, row)
        wanted = pod.pod_class.spec.scheduler_name
        line: Line = {"pod": pod.name, "index": row}
        framework = self._frameworks.get(wanted)
        if framework is None:
            return Decision({**line, "skipped": f"no profile for schedulerName {wanted}", **_NONE})
        if wanted != DEFAULT_NAME:
            line["profile"] = wanted
        profile = framework.profile
        gate = self._gate(pod, profile)
        if gate is not None:
            return Decision({**line, "gated": gate, **_NONE}, profile)
        if self._scenario.pods[row].metadata.deletion_timestamp is not None:
            return Decision({**line, "skipped": "being deleted", **_NONE}, profile)
        cycle = Cycle(self._state, pod.pod_class, pod)
        if row in self._nominated:
            self._state.nominated[row] = self._nominated[row]
        found = evaluate(profile, cycle)
        line |= evaluated(profile, cycle, found)
        chosen = self._choose(pod, found, line)
        if chosen < 0:
            chosen, cycle = self._preempt(framework, cycle, found, line)
        if chosen >= 0 and self._take(profile, cycle, chosen, now_us):
            line["chosen"] = self._state.nodes.names[chosen]
            line["start_time"] = _rfc3339(now_us)
        else:
            line["chosen"] = None
        self._state.nominated.clear()
        names = self._state.nodes.names
        return Decision(line, profile, tuple(names[row] for row in found.rows.tolist()))

    def _gate(self, pod: Pod, profile: Profile) -> Line | None:
        for plugin in profile.plugins("pre_enqueue"):
            rejection = plugin.pre_enqueue(pod, self._state)
            if rejection is not None:
                return _rejected(plugin.name, rejection)
        return None

    def _choose(self, pod: Pod, found: Evaluation, line: Line) -> int:
        """Return the row of the nominated node where that is feasible, of the best one, or -1."""
        if not len(found.feasible):
            return -1
        nominated = self._state.nominated.get(pod.row)
        if nominated is not None and (found.feasible == nominated[0]).any():
            line["nominated"] = self._state.nodes.names[nominated[0]]
            return nominated[0]
        best = np.flatnonzero(found.total == found.total.max())
        at = 0 if self._ties is None else int(self._ties.uniform(pod.key) * len(best))
        return int(found.feasible[best[at]])

    def _preempt(
        self, framework: Framework, cycle: Cycle, found: Evaluation, line: Line
    ) -> tuple[int, Cycle]:
        """Run PostFilter; return the node that takes the pod then (-1 = none), and its cycle."""
        answer = framework.post_filter(cycle, found)
        said = self._said(framework, cycle, found, answer)
        line["preemption"] = said
        if answer is None or answer.chosen is None:
            return -1, cycle
        chosen = answer.chosen
        for victim in chosen.victims:
            self._state.remove_pod(victim.pod)
        again = Cycle(self._state, cycle.pod_class, cycle.pod)
        rejected = _first_rejection(framework.profile, again, chosen.row)
        if rejected is not None:
            said["recheck"] = rejected
            return -1, again
        return chosen.row, again

    def _said(
        self, framework: Framework, cycle: Cycle, found: Evaluation, answer: PostFiltered | None
    ) -> Line:
        """Return what PostFilter said, with what preemption alone thinks of the pod."""
        chosen = None if answer is None else answer.chosen
        rejection = None if answer is None else answer.rejection
        said: Line = {"node": "", "victims": [], "pdb_violations": 0, "status": ""}
        if chosen is not None:
            said |= {"node": cycle.nodes.names[chosen.row], "status": CODES[Code.SUCCESS]}
            said |= self._victims(chosen)
        elif rejection is not None:
            said["status"] = CODES[rejection.code]
            if rejection.reasons:
                said["reasons"] = sorted(rejection.reasons)
        own = _of_preemption(framework, cycle, found, answer)
        said["eligible"] = own is not None and own.eligible
        if own is not None and own.candidates:
            said["candidates"] = {
                cycle.nodes.names[candidate.row]: self._victims(candidate)
                for candidate in own.candidates
            }
        return said

    def _victims(self, candidate: Candidate) -> Line:
        names = self._state.names
        victims = [{"pod": names[v.pod], "priority": v.priority} for v in candidate.victims]
        return {"victims": victims, "pdb_violations": candidate.violations}

    def _take(self, profile: Profile, cycle: Cycle, node: int, now_us: int) -> bool:
        """Let the pod have a node, unless a Reserve plugin objects."""
        pod = cycle.pod
        assert pod is not None  # cycles here are made of pods
        state = self._state
        state.add_pod(pod.row, pod.pod_class, node)
        asked: list[Any] = []
        for plugin in profile.plugins("reserve"):
            asked.append(plugin)
            if plugin.reserve(cycle, node) is not None:
                for other in reversed(asked):
                    if hasattr(other, "unreserve"):
                        other.unreserve(cycle, node)
                state.remove_pod(pod.row)
                return False
        self._started[pod.row] = now_us
        return True


_NONE: Final[Mapping[str, Any]] = {
    "prefilter_reject": None,
    "filtered": {},
    "feasible": [],
    "chosen": None,
}


def _of_preemption(
    framework: Framework, cycle: Cycle, found: Evaluation, answer: PostFiltered | None
) -> PostFiltered | None:
    """Return what DefaultPreemption says, even where PostFilter never came to it."""
    plugin = framework.profile.plugin("DefaultPreemption")
    if plugin is None:
        return None
    reached = answer is not None and (
        answer.rejection is None or answer.rejection.code == Code.UNSCHEDULABLE
    )
    if reached and plugin in framework.profile.plugins("post_filter"):
        return answer
    own: PostFiltered = plugin.post_filter(cycle, found, framework)
    return own


def evaluated(profile: Profile, cycle: Cycle, found: Evaluation) -> Line:
    """Return what an evaluation found, in the words of the recorded decisions."""
    names = cycle.nodes.names
    line: Line = {"prefilter_reject": None}
    if found.rejection is not None:
        line["prefilter_reject"] = _rejected(*found.rejection)
    elif found.only is not None:
        only = [names[row] for row in found.rows.tolist() if names[row] in found.only]
        if only:
            line["prefilter_nodes"] = only
    for key in ("skip_filter", "skip_score"):
        if getattr(found, key):
            line[key] = sorted(getattr(found, key))
    line["filtered"] = {}
    if found.rejection is None:
        line["filtered"] = {
            names[row]: _verdict(profile, cycle, found, i)
            for i, row in enumerate(found.rows.tolist())
            if found.rejected_by[i] != -1
        }
        also = _also_failed(profile, cycle, found)
        if also:
            line["also_failed"] = also
    line["feasible"] = [names[row] for row in found.feasible.tolist()]
    if len(found.feasible):
        line["raw_scores"] = {name: raw.tolist() for name, raw in found.raw.items()}
        line["scores"] = {name: scores.tolist() for name, scores in found.weighted.items()}
        line["total"] = found.total.tolist()
    return line


def _verdict(profile: Profile, cycle: Cycle, found: Evaluation, i: int) -> Line:
    row, by = int(found.rows[i]), int(found.rejected_by[i])
    if by == PREFILTER:
        plugins = sorted(found.only_by)
        words = f"node(s) didn't satisfy plugin(s) [{' '.join(plugins)}]"
        rejection = Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))
        return {**_rejected(",".join(plugins), rejection), "prefilter": True}
    return _filtered(profile.filters[by], cycle, row, int(found.codes[i]))


def _filtered(plugin: FilterPlugin, cycle: Cycle, row: int, code: int) -> Line:
    reasons = plugin.reasons(cycle, row, code)
    return _rejected(plugin.name, Rejection(plugin.status(cycle, row, code), reasons))


def _rejected(plugin: str, rejection: Rejection) -> Line:
    return {
        "plugin": plugin,
        "reasons": sorted(rejection.reasons),
        "code": CODES[rejection.code],
    }


def _also_failed(profile: Profile, cycle: Cycle, found: Evaluation) -> dict[str, dict[str, str]]:
    """Return, for nodes on which two or more filters fail on their own, what each says."""
    failed: dict[int, dict[str, str]] = {}
    for plugin in profile.filters:
        if plugin.name in found.skip_filter:
            continue
        rows = found.rows[found.rejected_by != PREFILTER]
        codes = plugin.filter(cycle, rows)
        for i in np.flatnonzero(codes).tolist():
            row = int(rows[i])
            code = plugin.status(cycle, row, int(codes[i]))
            failed.setdefault(row, {})[plugin.name] = CODES[code]
    names = cycle.nodes.names
    return {names[row]: failed[row] for row in sorted(failed) if len(failed[row]) > 1}


def _first_rejection(profile: Profile, cycle: Cycle, row: int) -> Line | None:
    """Return why a pod does not pass PreFilter and Filter on one node; None when it does."""
    found = evaluate_filters(profile, cycle)
    if found.rejection is not None:
        return _rejected(*found.rejection)
    at = int(np.searchsorted(found.rows, row))
    return None if found.rejected_by[at] == -1 else _verdict(profile, cycle, found, at)


def _rfc3339(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def choices(scenario: Scenario, scheduler: Scheduler, *, seed: int = 0) -> Iterator[Decision]:
    """Let any scheduler decide on the pending pods of a scenario.

    Parameters
    ----------
    scenario : Scenario
        The cluster; pods take their places in it.
    scheduler : Scheduler
        Who decides, in batches as large as it wants them.
    seed : int, default 0
        Seed of its draws.

    Yields
    ------
    Decision
        One a pending pod, with no more than what was chosen; gated pods are not put before it.
    """
    state, view, draws = scenario.state, ClusterView(scenario.state), Draws(seed)
    trigger: Trigger = getattr(scheduler, "trigger", Trigger())
    rows = in_order(scenario, [Profile.default()])
    size = max(1, min(trigger.max_pods, len(rows)))
    chosen: dict[int, int] = {}
    ready = [row for row in rows if not scenario.classes[row].spec.scheduling_gates]
    for first in range(0, len(ready), size):
        batch = PodBatch([pod_of(scenario, row) for row in ready[first : first + size]])
        placement = scheduler.schedule(batch, view, draws)
        chosen |= _placed(state.nodes.size, batch, placement)
        for eviction in placement.evictions:
            state.remove_pod(eviction.pod)
        for i, pod in enumerate(batch):
            if pod.row in chosen:
                node = chosen[pod.row]
                state.add_pod(pod.row, pod.pod_class, node, placement.devices.get(i))
    names = state.nodes.names
    for row in rows:
        node = chosen.get(row, -1)
        name = None if node < 0 else names[node]
        yield Decision({"pod": scenario.pods[row].key, "index": row, "chosen": name})


def _placed(size: int, batch: PodBatch, placement: Placement) -> dict[int, int]:
    placed: dict[int, int] = {}
    for i, pod in enumerate(batch):
        if placement.verdict[i] == Verdict.PLACED:
            node = placement.node[i]
            if not 0 <= node < size:
                raise InputError(
                    f"placement of {pod.name}", found=node, expected=f"a node row below {size}"
                )
            placed[pod.row] = node
    return placed
