"""TaintToleration: NoSchedule and NoExecute taints keep pods away, PreferNoSchedule ones deter.

Nodes share few distinct sets of taints: each set is judged once per class.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from schedlab.api.objects import Taint
from schedlab.api.selectors import toleration_tolerates
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import (
    Code,
    Codes,
    Cycle,
    Depends,
    Rows,
    Scores,
    default_normalize,
)

REASON = "node(s) had untolerated taint(s)"


class TaintToleration:
    """Filter and score by taints."""

    name = "TaintToleration"
    depends = Depends.STATIC

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return 1 where a NoSchedule or NoExecute taint is not tolerated."""
        tolerations = cycle.pod_class.spec.tolerations

        def repels(taints: tuple[Taint, ...]) -> int:
            return int(
                any(
                    taint.effect in ("NoSchedule", "NoExecute")
                    and not any(toleration_tolerates(t, taint) for t in tolerations)
                    for taint in taints
                )
            )

        return _per_set(cycle.nodes, rows, repels)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return False: every pod is scored."""
        return False

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Count the PreferNoSchedule taints that the pod does not tolerate."""
        tolerations = [
            t
            for t in cycle.pod_class.spec.tolerations
            if t.effect in (None, "", "PreferNoSchedule")
        ]

        def deterrents(taints: tuple[Taint, ...]) -> int:
            return sum(
                taint.effect == "PreferNoSchedule"
                and not any(toleration_tolerates(t, taint) for t in tolerations)
                for taint in taints
            )

        return _per_set(cycle.nodes, rows, deterrents)

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Give the nodes that deter least the highest score."""
        return default_normalize(raw, reverse=True)


def _per_set(nodes: NodeColumns, rows: Rows, judge: Callable[[tuple[Taint, ...]], int]) -> Codes:
    known: dict[int, int] = {}  # by identity of the tuple first: most nodes share it
    out = np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows.tolist()):
        taints = nodes.taints[row]
        if taints:
            value = known.get(id(taints))
            if value is None:
                value = known[id(taints)] = judge(taints)
            out[i] = value
    return out
