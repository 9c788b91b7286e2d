"""DynamicResources: what it says about pods without resource claims.

Devices that are claimed through ``spec.resourceClaims`` are not modelled: such a pod is an error
that names the field, here as when a workload is read. A pod without claims passes this plugin
everywhere and scores 0; what is left of it is its word when a pod fits nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schedlab.api.objects import PodSpec
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.scheduling.framework.interface import (
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PostFiltered,
    PreFiltered,
    Rejection,
    Rows,
    Scores,
)

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod
    from schedlab.scheduling.framework.evaluation import Evaluation
    from schedlab.scheduling.framework.runtime import Framework

NOTHING_TO_FREE = "no new claims to deallocate"
NO_STATE = "not found"


class DynamicResources:
    """Let pods without resource claims pass."""

    name = "DynamicResources"
    depends = Depends.STATIC

    def pre_enqueue(self, pod: Pod, state: object) -> Rejection | None:
        """Let the pod into the queue."""
        _without_claims(pod.pod_class.spec)
        return None

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class claim devices."""
        return bool(pod.spec.resource_claims)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Skip the filter."""
        _without_claims(cycle.pod_class.spec)
        return SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Let all nodes pass."""
        _without_claims(cycle.pod_class.spec)
        return np.zeros(len(rows), np.int64)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return nothing: no node is ever rejected."""
        return ()

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return success: no node is ever rejected."""
        return Code.SUCCESS

    def post_filter(self, cycle: Cycle, found: Evaluation, framework: Framework) -> PostFiltered:
        """Return that there are no claims to free; an error where this PreFilter never ran.

        Upstream looks for what its PreFilter left behind. Where another plugin's PreFilter has
        ruled out all nodes before, it is not there, and that error ends PostFilter.
        """
        if framework.pre_filtered(self, found):
            return PostFiltered(rejection=Rejection(Code.UNSCHEDULABLE, (NOTHING_TO_FREE,)))
        return PostFiltered(rejection=Rejection(Code.ERROR, (NO_STATE,)))

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return 0 for all nodes."""
        return np.zeros(len(rows), np.int64)

    def reserve(self, cycle: Cycle, row: int) -> Rejection | None:
        """Reserve nothing."""
        return None

    def pre_bind(self, cycle: Cycle, row: int) -> Rejection | None:
        """Write nothing."""
        return None


def _without_claims(spec: PodSpec) -> None:
    if spec.resource_claims:
        raise InputError(
            "spec.resourceClaims",
            found="<claims for devices>",
            expected="only what schedlab models so far",
        )
