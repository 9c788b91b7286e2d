"""NodeVolumeLimits: a node can attach only so many volumes of a CSI driver.

The limits stand in CSINode objects. A volume counts once per node however many pods use it; one
that a pod already uses there costs the next pod nothing. Volumes of in-tree plugins count as those
of the drivers that supersede them, claims without a volume as the one that will be made for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schedlab.cluster.attachments import (
    Attached,
    AttachmentError,
    ClaimMissingError,
    PodIdentity,
    attachable_volumes,
)
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
    Rows,
)

EXCEEDED, MISSING, FAILED = 1, 2, 3
REASON = "node(s) exceed max volume count"
STATUS = {
    EXCEEDED: Code.UNSCHEDULABLE,
    MISSING: Code.UNSCHEDULABLE_AND_UNRESOLVABLE,
    FAILED: Code.ERROR,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The volumes that a pod would attach, by driver, or why they can't be told."""

    volumes: dict[str, list[Attached]]
    code: int = 0
    words: str = ""


class NodeVolumeLimits:
    """Filter by the number of attached volumes."""

    name = "NodeVolumeLimits"
    depends = Depends.GLOBAL
    words_by_node = True

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class have volumes."""
        return bool(pod.spec.volumes)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Skip pods without claims and without volumes that migrate to a CSI driver."""
        if not cycle.pod_class.spec.volumes:
            return SKIP
        return GO_ON if cycle.state.volumes.of(cycle.pod_class).attachable else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return `EXCEEDED` where a limit would be, `MISSING` and `FAILED` as the names say."""
        codes = np.zeros(len(rows), np.int64)
        if self.pre_filter(cycle).skip:
            return codes
        nodes = cycle.state.volumes.attachments.csi_nodes
        codes[:] = np.where(
            nodes.there[rows],
            self._wanted(cycle, migrated=True).code,
            self._wanted(cycle, migrated=False).code,
        )
        wanted = self._wanted(cycle, migrated=True).volumes
        if wanted:
            limited = nodes.limited[rows]
            codes[limited] = _exceeded(cycle, wanted, rows[limited])
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return whether pods of another class have volumes."""
        return bool(other.spec.volumes)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        if code == EXCEEDED:
            return (REASON,)
        attachments = cycle.state.volumes.attachments
        wanted = self._wanted(cycle, migrated=bool(attachments.csi_nodes.there[row]))
        return (wanted.words or attachments.errors[row],)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions could help where the limit is the reason."""
        return STATUS[code]

    def _wanted(self, cycle: Cycle, *, migrated: bool) -> Wanted:
        return cycle.memo((self.name, migrated), lambda: _wanted(cycle, migrated=migrated))


def _wanted(cycle: Cycle, *, migrated: bool) -> Wanted:
    pod_class, pod, state = cycle.pod_class, cycle.pod, cycle.state
    if pod is None:
        who = PodIdentity(pod_class.namespace, "")
    else:
        who = PodIdentity.of(pod.row, pod_class, {pod.row: pod.name}, state.uids)
    try:
        found = attachable_volumes(who, pod_class.spec, state.objects, migrated=migrated, new=True)
    except ClaimMissingError as error:
        return Wanted({}, MISSING, str(error))
    except AttachmentError as error:
        return Wanted({}, FAILED, str(error))
    volumes: dict[str, list[Attached]] = {}
    for one in found:
        volumes.setdefault(one[0], []).append(one)
    return Wanted(volumes)


def _exceeded(cycle: Cycle, wanted: dict[str, list[Attached]], rows: Rows) -> Codes:
    """Return the codes of *rows* that have limits."""
    state = cycle.state
    attachments = state.volumes.attachments
    attachments.refresh(state.names, state.uids)
    codes = np.zeros(len(rows), np.int64)
    for driver, volumes in wanted.items():
        limit = attachments.csi_nodes.limits.get(driver)
        if limit is None:
            continue
        new = np.full(len(rows), len(volumes))
        for one in volumes:
            holders = attachments.holders(one)
            if holders:
                new -= np.isin(rows, list(holders))
        over = (new > 0) & (attachments.count(driver)[rows] + new > limit[rows])
        codes[over] = EXCEEDED
    if attachments.errors:
        codes[np.isin(rows, list(attachments.errors))] = FAILED
    return codes
