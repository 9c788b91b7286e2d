"""What plugins may ask of the framework around them: PostFilter and its trials.

`Framework` runs the PostFilter plugins of a profile the way kube-scheduler does and answers their
question "would the pod pass all filters on this node now?", with the state as a trial has left it
and the pods nominated to the node in place. It also keeps what preemption needs from one decision
to the next. There is one per profile of a scheduler.

Upstream moves what PreFilter computed when a trial takes pods away (AddPod, RemovePod). Here each
question starts from a fresh `Cycle`, on which filters compute what they need from the state; where
the two differ, `ClusterState.tried` tells the plugin what the trial has changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from schedlab.api.objects import PodDisruptionBudget
from schedlab.cluster.state import ClusterState
from schedlab.rng import Draws
from schedlab.scheduling.framework.disruption import Budgets
from schedlab.scheduling.framework.evaluation import Evaluation, nominated_in_place, rivals
from schedlab.scheduling.framework.interface import (
    Candidate,
    Code,
    Cycle,
    Depends,
    FilterPlugin,
    PostFiltered,
    Rejection,
    depends_on,
)
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.resource_preemption import (
    Asked,
    ResourcePreemption,
    Searched,
    SingleTrial,
)

Failure = tuple[FilterPlugin, int]


class Framework:
    """One profile at work.

    Parameters
    ----------
    profile : Profile
        Its plugins.
    draws : Draws, optional
        Where preemption begins its search; without it, at the first node.
    lists_candidates : bool, default False
        Have preemption list all the nodes it looked at with their victims, not only the best.
    compiled : bool, default True
        Let compiled code find victims on nodes where only resources matter; it finds the same.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        draws: Draws | None = None,
        lists_candidates: bool = False,
        compiled: bool = True,
    ) -> None:
        self.profile = profile
        self.lists_candidates = lists_candidates
        self.compiled = compiled
        self._draws = draws
        self._budgets: Budgets | None = None
        self._resources: ResourcePreemption | None = None
        self._asked: dict[tuple[str, ...], Asked | None] = {}

    def pre_filtered(self, plugin: object, found: Evaluation) -> bool:
        """Return whether a plugin's PreFilter ran, or another one's ended the cycle before."""
        order = [p.name for p in self.profile.plugins("pre_filter")]
        name = getattr(plugin, "name", "")
        if name not in order:
            return False
        if found.rejection is None:
            return True
        return order.index(name) <= order.index(found.rejection[0])

    def offset(self, cycle: Cycle, count: int) -> int:
        """Return which of *count* nodes preemption looks at first."""
        if self._draws is None or cycle.pod is None or not count:
            return 0
        return int(self._draws.uniform(cycle.pod.key, cycle.pod.attempt) * count)

    def budgets(self, state: ClusterState) -> Budgets:
        """Return the PodDisruptionBudgets as they are now."""
        known = self._budgets
        version = state.objects.versions[PodDisruptionBudget.kind]
        if known is None or known.state is not state or known.version != version:
            known = self._budgets = Budgets(state)
        return known

    def search_by_arrays(
        self, cycle: Cycle, found: Evaluation, wanted: Callable[[int], int], trial: SingleTrial
    ) -> Searched | None:
        """Look for victims by arrays as far as possible; None where it isn't.

        *wanted* says of a number of nodes that could help how many candidates are enough; *trial*
        looks for victims on one node, by its row, with trials on the cluster's state.
        """
        state = cycle.state
        if found.rejection is not None or not (self.compiled and state.nodes.scored):
            return None
        skipped = tuple(found.skip_filter)
        if skipped not in self._asked:
            self._asked[skipped] = Asked.of(self.profile, skipped)
        asked = self._asked[skipped]
        if asked is None:
            return None
        known = self._resources
        if known is None or known.state is not state:
            known = self._resources = ResourcePreemption(state)
        return known.search(
            cycle,
            found,
            asked,
            self.budgets(state),
            offset=lambda count: self.offset(cycle, count),
            wanted=wanted,
            trial=trial,
            lists_all=self.lists_candidates,
        )

    def trial(self, cycle: Cycle, found: Evaluation) -> Trial:
        """Return what answers for the pod of *cycle* while pods are taken away from nodes."""
        return Trial(self.profile, cycle, found)

    def post_filter(self, cycle: Cycle, found: Evaluation) -> PostFiltered | None:
        """Ask the PostFilter plugins in turn; None when the profile has none.

        The first that makes room, finds that nothing ever will, or fails, has the last word; what
        the others say is added up.
        """
        plugins = self.profile.plugins("post_filter")
        reasons: tuple[str, ...] = ()
        eligible = True
        candidates: tuple[Candidate, ...] = ()
        for plugin in plugins:
            answer: PostFiltered = plugin.post_filter(cycle, found, self)
            rejection = answer.rejection
            if rejection is None or rejection.code != Code.UNSCHEDULABLE:
                return answer
            reasons += rejection.reasons
            eligible &= answer.eligible
            candidates += answer.candidates
        if not plugins:
            return None
        rejection = Rejection(Code.UNSCHEDULABLE, reasons)
        return PostFiltered(None, rejection, eligible, candidates)


class Trial:
    """Whether one pod passes the filters on single nodes, as pods come and go there.

    Parameters
    ----------
    profile : Profile
        The filters.
    cycle : Cycle
        The pod, and the state that the trial changes.
    found : Evaluation
        What its PreFilters said: a plugin that skipped then is not asked now.
    """

    def __init__(self, profile: Profile, cycle: Cycle, found: Evaluation) -> None:
        self._cycle = cycle
        self._rivals = rivals(cycle)
        self._filters = tuple(p for p in profile.filters if p.name not in found.skip_filter)
        self._moving = tuple(p for p in self._filters if depends_on(p) is not Depends.STATIC)

    def rejection(self, row: int) -> Rejection | None:
        """Return why the pod does not pass on a node; None when it does."""
        return self._ask(row, self._filters)

    def still_passes(self, row: int) -> bool:
        """Return whether the pod passes on a node where it did with other pods around."""
        return self._ask(row, self._moving) is None

    def _ask(self, row: int, filters: tuple[FilterPlugin, ...]) -> Rejection | None:
        nominated = self._rivals.get(row)
        if nominated:
            with nominated_in_place(self._cycle.state, nominated):
                rejection = self._first(row, filters)
            if rejection is not None:
                return rejection
        return self._first(row, filters)

    def _first(self, row: int, filters: tuple[FilterPlugin, ...]) -> Rejection | None:
        cycle = Cycle(self._cycle.state, self._cycle.pod_class, self._cycle.pod)
        one = np.array([row], np.int64)
        for plugin in filters:
            code = int(plugin.filter(cycle, one)[0])
            if code:
                return Rejection(plugin.status(cycle, row, code), plugin.reasons(cycle, row, code))
        return None
