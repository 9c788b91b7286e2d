"""PodDisruptionBudgets as preemption looks at them.

Which victims would violate a budget is decided in the order of their importance: the less important
ones find what the others left. A budget's status is taken as it is; nothing is written back.
"""

from __future__ import annotations

from collections.abc import Iterable

from schedlab.api.objects import PodDisruptionBudget
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState

Pods = list[tuple[int, PodClass]]


class Budgets:
    """The budgets of a cluster at one moment; made anew when one of them changes.

    Parameters
    ----------
    state : ClusterState
        The cluster.

    Attributes
    ----------
    allowed : list of int
        ``status.disruptionsAllowed`` of each budget.
    disrupted : list of set of str
        Pods whose disruption counts already (``status.disruptedPods``), as ``namespace/name``.
    """

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.version = state.objects.versions[PodDisruptionBudget.kind]
        self.allowed: list[int] = []
        self.disrupted: list[frozenset[str]] = []
        self._by_namespace: dict[str, list[tuple[int, PodDisruptionBudget]]] = {}
        self._of_class: dict[int, tuple[int, ...]] = {}
        for number, budget in enumerate(state.objects.all(PodDisruptionBudget)):
            space = budget.metadata.namespace or "default"
            self.allowed.append(budget.status.disruptions_allowed)
            pods = budget.status.disrupted_pods
            self.disrupted.append(frozenset(f"{space}/{name}" for name in pods))
            self._by_namespace.setdefault(space, []).append((number, budget))
            state.classes.mention(_keys(budget))

    def of(self, pod_class: PodClass) -> tuple[int, ...]:
        """Return the numbers of the budgets that cover pods of a class.

        A budget without a selector, or with an empty one, covers none; nor does any budget cover
        pods without labels.
        """
        found = self._of_class.get(pod_class.id)
        if found is None:
            found = self._of_class[pod_class.id] = tuple(
                number
                for number, budget in self._by_namespace.get(pod_class.namespace, ())
                if pod_class.labels
                and _keys(budget)
                and label_selector_matches(budget.spec.selector, pod_class.labels)
            )
        return found

    def split(self, pods: Iterable[tuple[int, PodClass]]) -> tuple[Pods, Pods]:
        """Part pods, given in order of importance, into those that violate a budget and others."""
        left = list(self.allowed)
        violating: Pods = []
        others: Pods = []
        for pod, pod_class in pods:
            violates = False
            for number in self.of(pod_class):
                disrupted = self.disrupted[number]
                if disrupted and self.state.names[pod] in disrupted:
                    continue
                left[number] -= 1
                violates |= left[number] < 0
            (violating if violates else others).append((pod, pod_class))
        return violating, others


def _keys(budget: PodDisruptionBudget) -> list[str]:
    """Return the label keys of a budget's selector; none = it has no conditions."""
    selector = budget.spec.selector
    if selector is None:
        return []
    return [*selector.match_labels, *(c.key for c in selector.match_expressions)]
