"""Affinities between pods, in few words.

>>> found = pod_affinity(near=[pod_term("zone", "web")], avoid=[(5, pod_term("host", "db"))])
>>> found.pod_anti_affinity.preferred_during_scheduling_ignored_during_execution[0].weight
5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schedlab.api.objects import Affinity, PodAffinityTerm

Weighted = tuple[int, PodAffinityTerm]


def pod_term(
    topology_key: str, selector: str | Mapping[str, Any] | None, **scope: Any
) -> PodAffinityTerm:
    """Return a term.

    Parameters
    ----------
    topology_key : str
        Label of nodes.
    selector : str, mapping or None
        A value of the label ``app``, or a ``labelSelector``.
    **scope
        ``namespaces`` and ``namespaceSelector``.
    """
    if isinstance(selector, str):
        selector = {"matchLabels": {"app": selector}}
    return PodAffinityTerm.model_validate(
        {"topologyKey": topology_key, "labelSelector": selector, **scope}
    )


def label_condition(key: str, operator: str, *values: str) -> dict[str, Any]:
    """Return a ``labelSelector`` of one condition."""
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def pod_affinity(
    *,
    near: Iterable[PodAffinityTerm] = (),
    apart: Iterable[PodAffinityTerm] = (),
    prefer: Iterable[Weighted] = (),
    avoid: Iterable[Weighted] = (),
) -> Affinity:
    """Return an affinity.

    Parameters
    ----------
    near, apart : iterable of PodAffinityTerm
        Required affinity and anti-affinity.
    prefer, avoid : iterable of (int, PodAffinityTerm)
        Preferred ones, with their weights.
    """

    def side(
        required: Iterable[PodAffinityTerm], preferred: Iterable[Weighted]
    ) -> dict[str, list[Any]]:
        return {
            "requiredDuringSchedulingIgnoredDuringExecution": list(required),
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": weight, "podAffinityTerm": term} for weight, term in preferred
            ],
        }

    return Affinity.model_validate(
        {"podAffinity": side(near, prefer), "podAntiAffinity": side(apart, avoid)}
    )
