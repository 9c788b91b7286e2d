"""Volumes and claims as one component sees them: the objects, its assumptions, and who uses what.

A scheduler decides on volumes before the API server knows: a volume is assumed bound to a claim, or
a claim assumed to be provisioned for the node chosen. Such an assumption hides the object that it
was made of, until that object is replaced or the assumption is given back (upstream's assume
cache). Like all of a state, assumptions are rolled back with the trial that made them.

Of the pods on the nodes only those with volumes are known here; a pod without any costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schedlab.api.objects import PersistentVolume, PersistentVolumeClaim, PodSpec
from schedlab.cluster.attachments import Attachments, is_attachable
from schedlab.cluster.claims import bound_to, class_of_volume, kind_of, namespace_of
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.objects import ClusterObjects, ObjectKey
from schedlab.cluster.reach import Reach

DEFAULT_POOL: Final = "rbd"

Assumable = PersistentVolume | PersistentVolumeClaim
Disk = tuple[str, ...]
"""A disk that pods mount without a claim: what tells it from others."""


@dataclass(frozen=True, slots=True)
class FreeVolume:
    """A volume that nobody has yet.

    Attributes
    ----------
    size : int
        Its capacity in bytes.
    kind : tuple of (str, str)
        Its mode and attributes class, as `cluster.claims.kind_of`.
    access_modes : frozenset of str
        How it can be mounted.
    volume : PersistentVolume
        The volume itself.
    """

    size: int
    kind: tuple[str, str]
    access_modes: frozenset[str]
    volume: PersistentVolume


@dataclass(frozen=True, slots=True)
class ClassVolumes:
    """What the pods of a class mount.

    Attributes
    ----------
    claims : tuple of str
        Names of their claims, one per volume; ephemeral volumes' claims are not among them.
    disks : tuple of (Disk, bool)
        Disks that they mount directly, and whether all mounts of one are read-only.
    attachable : bool
        Some volume may count against a node's limits.
    """

    claims: tuple[str, ...]
    disks: tuple[tuple[Disk, bool], ...]
    attachable: bool


def disks_of(spec: PodSpec) -> tuple[tuple[Disk, bool], ...]:
    """Return the disks that pods mount directly, and whether a mount shares with its like.

    Pods may share a Google disk, an iSCSI target or a Ceph image that both mount read-only; an
    Amazon disk never. A Ceph image is the same when one of the monitors is.
    """
    found: list[tuple[Disk, bool]] = []
    for volume in spec.volumes:
        if (google := volume.gce_persistent_disk) is not None:
            found.append((("gce", google.pd_name), google.read_only))
        if (amazon := volume.aws_elastic_block_store) is not None:
            found.append((("aws", amazon.volume_id), False))
        if (target := volume.iscsi) is not None:
            found.append((("iscsi", target.iqn), target.read_only))
        if (image := volume.rbd) is not None:
            for monitor in dict.fromkeys(image.monitors):
                disk = ("rbd", monitor, image.pool or DEFAULT_POOL, image.image)
                found.append((disk, image.read_only))
    return tuple(found)


class ClusterVolumes:
    """Claims, volumes and their users.

    Parameters
    ----------
    objects : ClusterObjects
        What the API server knows.
    nodes : NodeColumns
        The nodes.

    Attributes
    ----------
    attachments : Attachments
        Volumes of CSI drivers by node.
    reach : Reach
        Nodes on which a volume can be used.
    """

    def __init__(self, objects: ClusterObjects, nodes: NodeColumns) -> None:
        self._objects = objects
        self.attachments = Attachments(objects, nodes)
        self.reach = Reach(nodes)
        self._assumed: dict[ObjectKey, tuple[Assumable, Assumable]] = {}
        self._assumed_for: dict[tuple[str, str], dict[str, None]] = {}
        self._journal: list[tuple[ObjectKey, tuple[Assumable, Assumable] | None]] = []
        self._marks: list[int] = []
        self._of_class: dict[int, ClassVolumes] = {}
        self._uses: dict[tuple[str, str], int] = {}
        self._mounts: dict[Disk, dict[int, list[int]]] = {}

    # --- objects and assumptions

    def claim(self, name: str, namespace: str) -> PersistentVolumeClaim | None:
        """Return a claim, as assumed."""
        found = self._objects.get(PersistentVolumeClaim, name, namespace)
        if not self._assumed or found is None:
            return found
        assumed = self._known((found.kind, namespace, name), found)
        return assumed if isinstance(assumed, PersistentVolumeClaim) else found

    def volume(self, name: str) -> PersistentVolume | None:
        """Return a volume, as assumed."""
        found = self._objects.get(PersistentVolume, name)
        return None if found is None else self._volume(found)

    def free_volumes(self, storage_class: str) -> list[FreeVolume]:
        """Return the volumes of a StorageClass ("" = of none) that any claim could get.

        They are available and bound to nobody, the smallest first and in the order they came.
        Upstream's order is that of a Go map: random where two volumes are of one size.
        """
        by_class = self._objects.derived("free volumes", ("PersistentVolume",), self._free)
        found = by_class.get(storage_class, [])
        if not self._assumed:
            return found
        return [free for free in found if self._volume(free.volume) is free.volume]

    def _free(self) -> dict[str, list[FreeVolume]]:
        found: dict[str, list[FreeVolume]] = {}
        for volume in self._objects.of(PersistentVolume).values():
            spec, free = volume.spec, volume.status.phase == "Available"
            if free and spec.claim_ref is None and volume.metadata.deletion_timestamp is None:
                one = FreeVolume(
                    spec.capacity.get("storage", 0),
                    kind_of(spec),
                    frozenset(spec.access_modes),
                    volume,
                )
                found.setdefault(class_of_volume(volume), []).append(one)
        for volumes in found.values():
            volumes.sort(key=lambda free: free.size)
        return found

    def reserved_volumes(self, claim: PersistentVolumeClaim) -> list[PersistentVolume]:
        """Return the volumes that are bound to a claim, by their owner or as assumed."""
        space, name = namespace_of(claim), claim.metadata.name
        by_claim = self._objects.derived("bound volumes", ("PersistentVolume",), self._bound)
        names = [*by_claim.get((space, name), ()), *self._assumed_for.get((space, name), ())]
        found = (self.volume(name) for name in dict.fromkeys(names))
        return [volume for volume in found if volume is not None and bound_to(volume, claim)]

    def _bound(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for volume in self._objects.of(PersistentVolume).values():
            if (ref := volume.spec.claim_ref) is not None:
                found.setdefault((ref.namespace, ref.name), []).append(volume.metadata.name)
        return found

    def _volume(self, found: PersistentVolume) -> PersistentVolume:
        if not self._assumed:
            return found
        assumed = self._known((found.kind, "", found.metadata.name), found)
        return assumed if isinstance(assumed, PersistentVolume) else found

    def _known(self, key: ObjectKey, found: Assumable) -> Assumable:
        known = self._assumed.get(key)
        return known[1] if known is not None and known[0] is found else found

    def assume(self, assumed: Assumable) -> None:
        """Take *assumed* for what the object of its kind and name is, until that is replaced."""
        if isinstance(assumed, PersistentVolumeClaim):
            key = (assumed.kind, namespace_of(assumed), assumed.metadata.name)
        else:
            key = (assumed.kind, "", assumed.metadata.name)
        now = self._objects.get(type(assumed), key[2], key[1])
        if now is None:
            raise ValueError(f"{'/'.join(key)} is not there")
        self._set(key, (now, assumed))

    def restore(self, assumed: Assumable) -> None:
        """Give an assumption back, if there is one: the object is what the API server has."""
        space = namespace_of(assumed) if isinstance(assumed, PersistentVolumeClaim) else ""
        key = (assumed.kind, space, assumed.metadata.name)
        if key in self._assumed:
            self._set(key, None)

    def _set(self, key: ObjectKey, entry: tuple[Assumable, Assumable] | None) -> None:
        if self._marks:
            self._journal.append((key, self._assumed.get(key)))
        self._put(key, entry)

    def _put(self, key: ObjectKey, entry: tuple[Assumable, Assumable] | None) -> None:
        before = self._assumed.pop(key, None)
        for one, there in ((before, False), (entry, True)):
            ref = getattr(one[1].spec, "claim_ref", None) if one is not None else None
            if ref is not None:
                names = self._assumed_for.setdefault((ref.namespace, ref.name), {})
                if there:
                    names[key[2]] = None
                else:
                    names.pop(key[2], None)
        if entry is not None:
            self._assumed[key] = entry

    def mark(self) -> None:
        """Start a trial; `undo` ends the last one that was started."""
        self._marks.append(len(self._journal))

    def undo(self) -> None:
        """Roll back what was assumed and given back since the last `mark`."""
        start = self._marks.pop()
        for key, before in reversed(self._journal[start:]):
            self._put(key, before)
        del self._journal[start:]

    # --- users

    def of(self, pod_class: PodClass) -> ClassVolumes:
        """Return what the pods of a class mount."""
        found = self._of_class.get(pod_class.id)
        if found is None:
            spec = pod_class.spec
            claims = (volume.persistent_volume_claim for volume in spec.volumes)
            found = self._of_class[pod_class.id] = ClassVolumes(
                tuple(claim.claim_name for claim in claims if claim is not None),
                disks_of(spec),
                any(is_attachable(volume) for volume in spec.volumes),
            )
        return found

    def move(self, pod: int, pod_class: PodClass, node: int, change: int) -> None:
        """Note that a pod with volumes came to (*change* 1) or left (-1) a node."""
        own = self.of(pod_class)
        for name in own.claims:
            key = (pod_class.namespace, name)
            self._uses[key] = self._uses.get(key, 0) + change
            if not self._uses[key]:
                del self._uses[key]
        for disk, read_only in own.disks:
            nodes = self._mounts.setdefault(disk, {})
            counts = nodes.setdefault(node, [0, 0])
            counts[read_only] += change
            if not any(counts):
                del nodes[node]
                if not nodes:
                    del self._mounts[disk]
        if own.attachable:
            self.attachments.move(pod, pod_class, node, change)

    def uses(self, name: str, namespace: str) -> int:
        """Return how many volumes of pods on nodes refer to a claim."""
        return self._uses.get((namespace, name), 0)

    def conflicts(self, disk: Disk, *, read_only: bool) -> Iterable[int]:
        """Return the rows of the nodes on which some pod's mount of *disk* bars another one."""
        mounts = self._mounts.get(disk, {})
        return [row for row, (writing, _) in mounts.items() if writing or not read_only]
