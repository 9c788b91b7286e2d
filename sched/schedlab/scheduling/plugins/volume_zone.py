"""VolumeZone: a volume with zone or region labels can be used on nodes with the same ones.

Only claims that are bound count. A label may name several zones, parted by ``__``. Nodes without
any zone or region label pass: such clusters have one zone. A volume's beta labels match a node's
stable ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import PersistentVolume, PersistentVolumeClaim, StorageClass
from schedlab.cluster.claims import class_of_claim, missing, waits_for_consumer
from schedlab.cluster.classes import PodClass
from schedlab.cluster.csi_translation import BETA_REGION, BETA_ZONE, ZONE_SEPARATOR
from schedlab.cluster.nodes import REGION, ZONE
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

REASON = "node(s) had no available volume zone"
LABELS = (BETA_ZONE, BETA_REGION, ZONE, REGION)
STABLE = {BETA_ZONE: ZONE, BETA_REGION: REGION}


@dataclass(frozen=True, slots=True)
class Topology:
    """A label of a volume and the values that a node may have."""

    key: str
    values: frozenset[str]


class VolumeZone:
    """Filter by the zones of the volumes that a pod's claims are bound to."""

    name = "VolumeZone"
    depends = Depends.GLOBAL

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class have volumes."""
        return bool(pod.spec.volumes)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Reject the pod if an object is missing; skip if no volume has a zone."""
        if not cycle.pod_class.spec.volumes:
            return SKIP
        found = self._topologies(cycle)
        if isinstance(found, Rejection):
            return PreFiltered(rejection=found)
        return GO_ON if found else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return 1 where a volume's zone is not the node's."""
        codes = np.zeros(len(rows), np.int64)
        found = self._topologies(cycle)
        if isinstance(found, Rejection) or not found:
            return codes
        labels = {key: _column(cycle, rows, key) for key in LABELS}
        zoned = np.zeros(len(rows), np.bool_)
        for column in labels.values():
            zoned |= column >= 0
        known = cycle.nodes.label_values
        for topology in found:
            column = labels[topology.key]
            stable = STABLE.get(topology.key)
            if stable is not None:
                column = np.where(column >= 0, column, labels[stable])
            numbers = [number for v in topology.values if (number := known.get(v)) >= 0]
            codes[zoned & ~np.isin(column, numbers)] = 1
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return False: volumes and nodes stay where they are."""
        return False

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE

    def _topologies(self, cycle: Cycle) -> tuple[Topology, ...] | Rejection:
        return cycle.memo((self.name, "topologies"), lambda: _topologies(cycle))


def _topologies(cycle: Cycle) -> tuple[Topology, ...] | Rejection:
    """Return the labels of all volumes that the pod's claims are bound to, or what is missing."""
    found: list[Topology] = []
    objects, space = cycle.state.objects, cycle.pod_class.namespace
    for name in cycle.state.volumes.of(cycle.pod_class).claims:
        claim = objects.get(PersistentVolumeClaim, name, space)
        if claim is None:
            return _no(missing("persistentvolumeclaim", name))
        bound = claim.spec.volume_name
        if not bound:
            wanted = class_of_claim(claim)
            if not wanted:
                return _no("PersistentVolumeClaim had no pv name and storageClass name")
            storage_class = objects.get(StorageClass, wanted)
            if storage_class is None:
                return _no(missing("storageclass.storage.k8s.io", wanted))
            if not waits_for_consumer(storage_class):
                return _no("PersistentVolume had no name")
            continue
        volume = objects.get(PersistentVolume, bound)
        if volume is None:
            return _no(missing("persistentvolume", bound))
        found += _zones(volume)
    return tuple(found)


def _no(words: str) -> Rejection:
    return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))


def _zones(volume: PersistentVolume) -> list[Topology]:
    """Return a volume's zone and region labels; one with an empty part is ignored."""
    found = []
    for key in LABELS:
        if key in volume.metadata.labels:
            parts = [part.strip() for part in volume.metadata.labels[key].split(ZONE_SEPARATOR)]
            if all(parts):
                found.append(Topology(key, frozenset(parts)))
    return found


def _column(cycle: Cycle, rows: Rows, key: str) -> NDArray[np.int32]:
    column = cycle.nodes.label_column(key)
    return np.full(len(rows), -1, np.int32) if column is None else column[rows]
