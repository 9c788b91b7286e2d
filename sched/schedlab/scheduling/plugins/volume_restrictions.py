"""VolumeRestrictions: disks that can't be mounted twice on a node, claims that one pod may use.

Without a claim, a pod mounts a Google disk, an iSCSI target or a Ceph image beside others on the
same node only if all mount it read-only, and an Amazon disk never. A claim with the access mode
ReadWriteOncePod serves one pod in the whole cluster.
"""

from __future__ import annotations

import numpy as np

from schedlab.api.objects import PersistentVolumeClaim
from schedlab.cluster.claims import missing
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import (
    GO_ON,
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rejection,
    Rows,
)

DISK, IN_USE = 1, 2
REASONS = {
    DISK: "node(s) had no available disk",
    IN_USE: "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
    "already in-use by another pod",
}
ONE_POD = "ReadWriteOncePod"


class VolumeRestrictions:
    """Filter by disks and claims that are in use."""

    name = "VolumeRestrictions"
    depends = Depends.GLOBAL

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class have volumes."""
        return bool(pod.spec.volumes)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Reject the pod if a claim is missing; skip if nothing that it mounts is exclusive."""
        if not cycle.pod_class.spec.volumes:
            return SKIP
        own, space = cycle.state.volumes.of(cycle.pod_class), cycle.pod_class.namespace
        for name in own.claims:
            if cycle.state.objects.get(PersistentVolumeClaim, name, space) is None:
                return PreFiltered(
                    rejection=Rejection(
                        Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
                        (missing("persistentvolumeclaim", name),),
                    )
                )
        return GO_ON if own.disks or _in_use(cycle) > 0 else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return `DISK` where a disk is taken, else `IN_USE` when another pod has the claim."""
        codes = np.zeros(len(rows), np.int64)
        if not cycle.pod_class.spec.volumes:
            return codes
        if _in_use(cycle) > 0:
            codes[:] = IN_USE
        volumes = cycle.state.volumes
        taken = [
            row
            for disk, read_only in volumes.of(cycle.pod_class).disks
            for row in volumes.conflicts(disk, read_only=read_only)
        ]
        if taken:
            codes[np.isin(rows, taken)] = DISK
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return whether pods of another class have volumes."""
        return bool(other.spec.volumes)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASONS[code],)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions could help."""
        return Code.UNSCHEDULABLE


def _in_use(cycle: Cycle) -> int:
    """Return how often the pod's ReadWriteOncePod claims are in use; more than 0 bars it.

    A claim in use counts once. In a trial, upstream goes on from that number with every volume that
    the pods added and removed refer to by the same name, in whatever namespace they are.
    """
    state, space = cycle.state, cycle.pod_class.namespace
    claims = {
        name
        for name in state.volumes.of(cycle.pod_class).claims
        if (found := state.objects.get(PersistentVolumeClaim, name, space)) is not None
        and ONE_POD in found.spec.access_modes
    }
    if not claims:
        return 0
    before = {name: state.volumes.uses(name, space) for name in claims}
    moved = 0
    for sign, _, pod_class, _ in state.tried():
        for name in state.volumes.of(pod_class).claims if pod_class.spec.volumes else ():
            if name in claims:
                moved += sign
                before[name] -= sign if pod_class.namespace == space else 0
    return sum(count > 0 for count in before.values()) + moved
