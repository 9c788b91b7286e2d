"""Attachments: which volumes of CSI drivers are attached to each node, and how many may be.

Limits stand in the CSINode objects. What counts against them are the volumes of the pods on a node,
each once however many pods use it, and the VolumeAttachments of volumes that no pod there uses. The
columns are brought up to date when somebody asks, for the nodes whose pods changed; when one of the
objects behind them changes they are counted anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import (
    ApiObjectBase,
    CSINode,
    PersistentVolume,
    PersistentVolumeClaim,
    PodSpec,
    StorageClass,
    Volume,
    VolumeAttachment,
)
from schedlab.cluster.claims import claim_name, class_of_claim, foreign, missing, namespace_of
from schedlab.cluster.classes import PodClass
from schedlab.cluster.csi_translation import (
    BY_NAME,
    MIGRATED_PLUGINS,
    TranslationError,
    in_tree_plugin,
)
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.objects import ClusterObjects, ObjectKey

UNLIMITED: Final = np.iinfo(np.int64).max
Attached = tuple[str, str]
"""Driver and handle of a volume; a claim that has no volume yet stands for itself."""
Names = Sequence[str] | Mapping[int, str]
T = TypeVar("T", bound=ApiObjectBase)
K = TypeVar("K", bound=Hashable)


class Lookup(Protocol):
    """Gives objects by name, as `ClusterObjects` does."""

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        """Return an object, or None."""
        ...


class ClaimMissingError(ValueError):
    """A pod's claim is not there; it can't be scheduled before it is."""


class AttachmentError(ValueError):
    """A pod's volumes can't be told."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who a pod is, as far as its volumes depend on it.

    Attributes
    ----------
    namespace, name, uid : str
        Its bare name; the uid is "" when not known.
    """

    namespace: str
    name: str
    uid: str = ""

    @classmethod
    def of(cls, pod: int, pod_class: PodClass, names: Names, uids: Names) -> PodIdentity:
        """Return the identity of the pod in row *pod*."""
        name = _entry(names, pod).rpartition("/")[2]
        return cls(pod_class.namespace, name, _entry(uids, pod))


def _entry(table: Names, row: int) -> str:
    try:
        return table[row]
    except (KeyError, IndexError):
        return ""


def is_attachable(volume: Volume) -> bool:
    """Return whether a pod's volume may count against a limit."""
    return (
        volume.persistent_volume_claim is not None
        or volume.ephemeral is not None
        or in_tree_plugin(volume) is not None
    )


def attachable_volumes(
    pod: PodIdentity, spec: PodSpec, objects: Lookup, *, migrated: bool, new: bool
) -> set[Attached]:
    """Return the volumes of CSI drivers that a pod attaches.

    Parameters
    ----------
    pod, spec : PodIdentity, PodSpec
        The pod.
    objects : Lookup
        Claims, volumes and classes.
    migrated : bool
        The node has a CSINode: in-tree volumes count as those of the drivers that supersede them.
    new : bool
        The pod is to be scheduled, and its claims have to be there; a claim that a running pod
        lacks is left out.

    Raises
    ------
    ClaimMissingError
        A claim of a new pod is not there.
    AttachmentError
        An ephemeral volume's claim is not the pod's own, or an in-tree volume can't be translated.
    """
    found: set[Attached] = set()
    for volume in spec.volumes:
        name = claim_name(volume, pod.name)
        if name is None:
            found |= _inline(volume) if migrated else set()
            continue
        claim = objects.get(PersistentVolumeClaim, name, pod.namespace)
        if claim is None:
            if new:
                lost = missing("persistentvolumeclaim", name)
                raise ClaimMissingError(f"looking up PVC {pod.namespace}/{name}: {lost}")
            continue
        if volume.ephemeral is not None:
            complaint = foreign(claim, pod.name, pod.uid)
            if complaint is not None:
                raise AttachmentError(complaint)
        found |= _of_claim(claim, objects, migrated=migrated)
    return found


def _inline(volume: Volume) -> set[Attached]:
    plugin = in_tree_plugin(volume)
    if plugin is None or plugin.handle is None:
        return set()
    try:
        return {(plugin.driver, plugin.handle(volume, None))}
    except TranslationError as error:
        raise AttachmentError(
            f"converting volume({volume.name}) from inline to csi: {error}"
        ) from None


def _of_claim(claim: PersistentVolumeClaim, objects: Lookup, *, migrated: bool) -> set[Attached]:
    """Return the volume behind a claim, or the claim itself when it has none yet."""
    volume = objects.get(PersistentVolume, claim.spec.volume_name)
    if volume is None:
        return _to_be_made(claim, objects, migrated=migrated)
    if volume.spec.csi is not None:
        driver, handle = volume.spec.csi.driver, volume.spec.csi.volume_handle
        return {(driver, handle)} if driver and handle else set()
    plugin = in_tree_plugin(volume.spec)
    if plugin is None or plugin.handle is None or not migrated:
        return set()
    try:
        handle = plugin.handle(volume.spec, volume)
    except TranslationError:
        return set()
    return {(plugin.driver, handle)} if handle else set()


def _to_be_made(claim: PersistentVolumeClaim, objects: Lookup, *, migrated: bool) -> set[Attached]:
    """Return a stand-in for the volume that will be provisioned for a claim.

    Upstream makes its handle unique by a random prefix; a space can't begin a real handle.
    """
    found = objects.get(StorageClass, class_of_claim(claim))
    if found is None:
        return set()
    stand_in = f" {namespace_of(claim)}/{claim.metadata.name}"
    plugin = BY_NAME.get(found.provisioner)
    if plugin is None:
        return {(found.provisioner, stand_in)} if found.provisioner else set()
    return {(plugin.driver, stand_in)} if plugin.migrates and migrated else set()


class CsiNodes:
    """What the CSINode objects say, in columns.

    Attributes
    ----------
    there : bool array of shape [N]
        The node has a CSINode.
    limited : bool array of shape [N]
        One of its drivers has a limit.
    limits : dict of str to (int64 array of shape [N])
        Driver -> how many of its volumes may be attached; `UNLIMITED` where it doesn't say.
    """

    def __init__(self, objects: ClusterObjects, nodes: NodeColumns) -> None:
        self.there = np.zeros(nodes.size, np.bool_)
        self.limited = np.zeros(nodes.size, np.bool_)
        self.limits: dict[str, NDArray[np.int64]] = {}
        self._migrated: dict[str, list[int]] = {}
        for found in objects.of(CSINode).values():
            row = nodes.row_of.get(found.metadata.name, -1)
            if row < 0:
                continue
            self.there[row] = True
            notes = found.metadata.annotations.get(MIGRATED_PLUGINS)
            for plugin in notes.split(",") if notes else ():
                self._migrated.setdefault(plugin, []).append(row)
            for driver in found.spec.drivers:
                if driver.allocatable is not None and driver.allocatable.count is not None:
                    column = self.limits.get(driver.name)
                    if column is None:
                        column = np.full(nodes.size, UNLIMITED, np.int64)
                        self.limits[driver.name] = column
                    column[row] = driver.allocatable.count
                    self.limited[row] = True

    def migrated(self, plugin: str) -> NDArray[np.bool_]:
        """Return the nodes to which an in-tree plugin has migrated, bool [N]."""
        found = np.zeros(len(self.there), np.bool_)
        found[self._migrated.get(plugin, [])] = True
        return found


class Attachments:
    """How many volumes are attached, by driver and node.

    Parameters
    ----------
    objects : ClusterObjects
        Claims, volumes, classes, CSINodes and VolumeAttachments.
    nodes : NodeColumns
        The nodes.

    Attributes
    ----------
    errors : dict of int to str
        Node row -> why its volumes can't be counted.
    """

    def __init__(self, objects: ClusterObjects, nodes: NodeColumns) -> None:
        self._objects = objects
        self._nodes = nodes
        self._pods: dict[int, dict[int, PodClass]] = {}
        self._dirty: set[int] = set()
        self._objects_seen = self._attributes_seen = 0
        self._csi_nodes = CsiNodes(objects, nodes)
        self._csi_seen = (-1, -1)
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._on: dict[int, _OnNode] = {}
        self._holders: dict[Attached, set[int]] = {}
        self._rows_by_object: dict[ObjectKey, set[int]] = {}
        self._attached: Mapping[str, set[Attached]] = {}
        self.errors: dict[int, str] = {}

    def move(self, pod: int, pod_class: PodClass, node: int, change: int) -> None:
        """Note that a pod with volumes came to (*change* 1) or left (-1) a node."""
        if change > 0:
            self._pods.setdefault(node, {})[pod] = pod_class
        else:
            self._pods[node].pop(pod)
        self._dirty.add(node)

    @property
    def csi_nodes(self) -> CsiNodes:
        """What the CSINodes say now."""
        seen = (self._objects.versions["CSINode"], self._nodes.attributes.count)
        if seen != self._csi_seen:
            self._csi_seen = seen
            self._csi_nodes = CsiNodes(self._objects, self._nodes)
        return self._csi_nodes

    def refresh(self, names: Names, uids: Names) -> None:
        """Count what changed since the last time.

        Parameters
        ----------
        names, uids : sequence or mapping of int to str
            ``namespace/name`` and uid by pod row.
        """
        self._look_for_changes()
        limited = self.csi_nodes.limited
        for row in self._dirty:
            self._forget(row)
            if limited[row]:  # without a limit nothing is asked of a node
                self._count(row, names, uids)
        self._dirty.clear()

    def _look_for_changes(self) -> None:
        """Find the nodes on which something that counts may have changed."""
        objects, nodes = self._objects, self._nodes
        changed = objects.changed_since(self._objects_seen)
        relabelled = nodes.attributes.since(self._attributes_seen)
        self._objects_seen, self._attributes_seen = objects.changes, nodes.attributes.count
        if changed is None or relabelled is None:
            self._dirty.update(range(nodes.size))
        else:
            self._dirty.update(relabelled.tolist())
            for key in changed:
                self._dirty |= self._rows_by_object.get(key, set())
                if key[0] == CSINode.kind and key[2] in nodes.row_of:
                    self._dirty.add(nodes.row_of[key[2]])
        kinds = (VolumeAttachment.kind, PersistentVolume.kind)
        attached = objects.derived("attached volumes", kinds, self._by_node)
        if attached is not self._attached:
            for name in attached.keys() | self._attached.keys():
                if attached.get(name) != self._attached.get(name) and name in nodes.row_of:
                    self._dirty.add(nodes.row_of[name])
            self._attached = attached

    def _by_node(self) -> dict[str, set[Attached]]:
        """Return what the VolumeAttachments attach, by the name of the node."""
        found: dict[str, set[Attached]] = {}
        for attachment in self._objects.of(VolumeAttachment).values():
            name = attachment.spec.source.persistent_volume_name
            volume = None if name is None else self._objects.get(PersistentVolume, name)
            if attachment.spec.attacher and volume is not None and volume.spec.csi is not None:
                one = (attachment.spec.attacher, volume.spec.csi.volume_handle)
                found.setdefault(attachment.spec.node_name, set()).add(one)
        return found

    def _forget(self, row: int) -> None:
        before = self._on.pop(row, None)
        self.errors.pop(row, None)
        if before is None:
            return
        for one in before.held:
            _discard(self._holders, one, row)
        for key in before.objects:
            _discard(self._rows_by_object, key, row)
        for driver in before.drivers:
            self._counts[driver][row] = 0

    def _count(self, row: int, names: Names, uids: Names) -> None:
        reader = _Reader(self._objects, set())
        held: set[Attached] = set()
        try:
            for pod, pod_class in self._pods.get(row, {}).items():
                who = PodIdentity.of(pod, pod_class, names, uids)
                held |= attachable_volumes(who, pod_class.spec, reader, migrated=True, new=False)
        except AttachmentError as error:
            self.errors[row] = str(error)
            held = set()
        for one in held:
            self._holders.setdefault(one, set()).add(row)
        for key in reader.seen:
            self._rows_by_object.setdefault(key, set()).add(row)
        drivers = [driver for driver, _ in held | self._attached.get(self._nodes.names[row], set())]
        for driver in drivers:
            self.count(driver)[row] += 1
        self._on[row] = _OnNode(held, reader.seen, set(drivers))

    def count(self, driver: str) -> NDArray[np.int64]:
        """Return how many of a driver's volumes are attached to each node with limits, int64 [N].

        The array is live, and not to be changed.
        """
        column = self._counts.get(driver)
        size = self._nodes.size
        if column is None or len(column) < size:
            grown = np.zeros(max(size, self._nodes.capacity), np.int64)
            if column is not None:
                grown[: len(column)] = column
            column = self._counts[driver] = grown
        return column[:size]

    def holders(self, volume: Attached) -> set[int]:
        """Return the rows of the nodes with limits on which some pod uses *volume*."""
        return self._holders.get(volume, set())


@dataclass(frozen=True, slots=True)
class _OnNode:
    """What was counted on a node, and what it was made of."""

    held: set[Attached]
    objects: set[ObjectKey]
    drivers: set[str]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads objects, and remembers which."""

    objects: ClusterObjects
    seen: set[ObjectKey]

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        self.seen.add((kind.kind, namespace, name))
        return self.objects.get(kind, name, namespace)


def _discard(table: dict[K, set[int]], key: K, row: int) -> None:
    table[key].discard(row)
    if not table[key]:
        del table[key]
