"""Rows for pods that controllers make: one logical replica after another, each under its key.

A replica is (workload item, ordinal). Its key decides its duration and its latencies, under every
scheduler and across reincarnations: a replacement draws the same duration again, since an eviction
loses the work and not the task.
"""

from __future__ import annotations

from collections.abc import Mapping

from schedlab.api.objects import PodTemplate
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.admission import NO_OWNER, SPREAD_OWNERS, Admission
from schedlab.rng import Draws, entity_key

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class PodFactory:
    """Makes rows for the pods of ReplicaSets and Jobs.

    Parameters
    ----------
    pods : PodTable
        Where the rows go.
    admission : Admission
        Turns templates into classes.
    draws : Draws
        Stream of durations and name suffixes.
    """

    def __init__(self, pods: PodTable, admission: Admission, draws: Draws) -> None:
        self._pods = pods
        self._admission = admission
        self._durations = draws.stream("duration")
        self._names = draws.stream("name")

    def make(
        self,
        template: PodTemplate,
        *,
        namespace: str,
        owner: str,
        item: str,
        ordinal: int,
        past: int,
        labels: Mapping[str, str] | None = None,
    ) -> int:
        """Return the row of a new pod.

        Parameters
        ----------
        template : PodTemplate
            Of the owner.
        namespace, owner : str
            Where it lives, and ``Kind/name`` of what owns it.
        item : str
            Workload item.
        ordinal : int
            Logical replica within *item*.
        past : int
            How many pods this replica had before.
        labels : mapping of str to str, optional
            What the controller adds to the labels of the template.
        """
        pods = self._pods
        kind, _, name = owner.partition("/")
        spread = (kind, name) if kind in SPREAD_OWNERS else NO_OWNER
        admitted = self._admission.admit(template, namespace, owner, owner=spread, labels=labels)
        key = entity_key(item, ordinal)
        duration = -1
        if admitted.duration is not None:
            duration = admitted.duration.quantile(self._durations.uniform(key))
        return pods.add(
            f"{namespace}/{name}-{self._suffix(key, past)}",
            pod_class=admitted.pod_class.id,
            item=pods.items.add(item),
            replica=ordinal,
            incarnation=past,
            key=key,
            duration_us=duration,
            estimate_us=admitted.estimate_us,
            owner=pods.owners.add(owner),
        )

    def _suffix(self, key: int, past: int) -> str:
        bits = self._names.bits(key, past)
        letters = []
        for _ in range(7):  # 27**7 names: no clash within an owner is to be expected
            bits, digit = divmod(bits, len(_SUFFIX))
            letters.append(_SUFFIX[digit])
        return "".join(letters)
