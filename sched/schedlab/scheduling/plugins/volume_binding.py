"""VolumeBinding: every claim of a pod gets a volume that its node can use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import (
    CSIDriver,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    VolumeNodeAffinity,
)
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.attachments import PodIdentity
from schedlab.cluster.claims import (
    NO_PROVISIONER,
    SELECTED_NODE,
    bound_copy,
    claim_name,
    class_of_claim,
    foreign,
    fully_bound,
    kind_of,
    missing,
    requested_bytes,
    selected_copy,
    still_fits,
    waits_for_consumer,
)
from schedlab.cluster.classes import PodClass
from schedlab.cluster.csi_translation import TranslationError, in_tree_plugin, translated_affinity
from schedlab.cluster.reach import NodeRows
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
    Scores,
    Writes,
)

CONFLICT, NO_MATCH, NO_SPACE, NO_VOLUME, FAILED = 1, 2, 4, 8, 16
REASONS = {
    NO_SPACE: "node(s) did not have enough free storage",
    NO_MATCH: "node(s) didn't find available persistent volumes to bind",
    CONFLICT: "node(s) didn't match PersistentVolume's node affinity",
    NO_VOLUME: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
}
"""In the order of their words; a code is a sum of them."""
FEW = 8
"""Up to so many rows a loop is faster than a vector."""
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"

Mask = NDArray[np.bool_]
Picks = list[tuple[PersistentVolumeClaim, dict[int, PersistentVolume]]]
"""Claims, smallest first, with the volume that each would get, by node row."""


@dataclass(frozen=True, slots=True)
class Claims:
    """A pod's claims.

    Attributes
    ----------
    bound : tuple of PersistentVolumeClaim
        Those that have their volume.
    waiting : tuple of PersistentVolumeClaim
        Those to be bound with the pod.
    """

    bound: tuple[PersistentVolumeClaim, ...] = ()
    waiting: tuple[PersistentVolumeClaim, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """The volumes that one claim could get.

    Attributes
    ----------
    reserved : tuple of PersistentVolume
        Those that are bound to the claim already, by their owner or an earlier decision.
    by_row : dict of int to list of PersistentVolume
        Node row -> the smallest free ones that the node can use.
    """

    reserved: tuple[PersistentVolume, ...]
    by_row: dict[int, list[PersistentVolume]]


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Where a volume can be provisioned for a claim.

    Attributes
    ----------
    allowed, roomy : bool array of shape [N]
        The topology is allowed there; there is room, as far as the driver tells.
    """

    allowed: Mask
    roomy: Mask


class VolumeBinding:
    """Filter by the volumes that a pod has and the ones it can get; reserve them.

    Parameters
    ----------
    bind_timeout_seconds : int, default 600
        ``bindTimeoutSeconds``: how long a pod waits for its volumes before it gives its node back.
    """

    name = "VolumeBinding"
    depends = Depends.GLOBAL
    words_by_node = True

    def __init__(self, bind_timeout_seconds: int = 600) -> None:
        self._timeout_us = bind_timeout_seconds * 1_000_000

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class have volumes."""
        return bool(pod.spec.volumes)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Reject the pod if a claim can't be used, or should be bound; skip without claims."""
        if not cycle.pod_class.spec.volumes:
            return SKIP
        claims = self._claims(cycle)
        if isinstance(claims, Rejection):
            return PreFiltered(rejection=claims)
        return SKIP if claims is None else GO_ON

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return the sum of the reasons against each node, or `FAILED`."""
        codes = np.zeros(len(rows), np.int64)
        if not cycle.pod_class.spec.volumes:
            return codes
        claims = self._claims(cycle)
        if claims is None or isinstance(claims, Rejection):
            return codes
        _check_bound(cycle, claims.bound, rows, codes)
        if claims.waiting:
            good = codes != FAILED
            codes[good] |= self._check_waiting(cycle, claims, rows[good])
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return False: what a claim can get does not depend on who runs where."""
        return False

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words, in alphabetical order."""
        if code == FAILED:
            claims = self._claims(cycle)
            bound = claims.bound if isinstance(claims, Claims) else ()
            return (_translation_error(cycle, bound),)
        return tuple(words for flag, words in REASONS.items() if code & flag)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.ERROR if code == FAILED else Code.UNSCHEDULABLE_AND_UNRESOLVABLE

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return that nodes are not scored."""
        return True

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return zeros."""
        return np.zeros(len(rows), np.int64)

    def reserve(self, cycle: Cycle, row: int) -> Rejection | None:
        """Assume that the pod's claims get the volumes that were found for the node."""
        claims = self._claims(cycle)
        if not isinstance(claims, Claims) or not claims.waiting:
            return None
        volumes, node = cycle.state.volumes, cycle.nodes.names[row]
        picks = self._picks(cycle, claims, np.array([row], np.int64))
        made: list[PersistentVolume | PersistentVolumeClaim] = []
        for claim, found in picks:
            if row in found:
                bound = bound_copy(found[row], claim)
                if bound is not found[row]:
                    volumes.assume(bound)
                made.append(bound)
        for claim in _to_provision(claims, picks, row):
            selected = selected_copy(claim, node)
            volumes.assume(selected)
            made.append(selected)
        cycle.put((self.name, "reserved", row), made)
        return None

    def unreserve(self, cycle: Cycle, row: int) -> None:
        """Give back what `reserve` assumed."""
        nothing: list[PersistentVolume | PersistentVolumeClaim] = []
        for assumed in cycle.memo((self.name, "reserved", row), lambda: nothing):
            cycle.state.volumes.restore(assumed)

    def pre_bind(self, cycle: Cycle, row: int) -> Rejection | Writes | None:
        """Have written what `reserve` assumed, and wait until all claims are bound."""
        nothing: list[PersistentVolume | PersistentVolumeClaim] = []
        made = cycle.memo((self.name, "reserved", row), lambda: nothing)
        claims = self._claims(cycle)
        if not made or not isinstance(claims, Claims):
            return None
        for claim in claims.waiting:
            name, space = claim.metadata.name, cycle.pod_class.namespace
            now = cycle.state.objects.get(PersistentVolumeClaim, name, space)
            if now is None:
                words = missing("persistentvolumeclaim", name)
                return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))
            if not fully_bound(now):
                return Writes(tuple(made), self._timeout_us)
        for assumed in made:  # what was assumed is so now
            cycle.state.volumes.restore(assumed)
        return None

    def _claims(self, cycle: Cycle) -> Claims | Rejection | None:
        return cycle.memo((self.name, "claims"), lambda: _claims(cycle))

    def _check_waiting(self, cycle: Cycle, claims: Claims, rows: Rows) -> Codes:
        """Return `NO_MATCH` or `NO_SPACE` where a waiting claim gets no volume."""
        codes = np.zeros(len(rows), np.int64)
        elsewhere = np.zeros(len(rows), np.bool_)
        for claim in claims.waiting:
            node = claim.metadata.annotations.get(SELECTED_NODE)
            if node is not None:
                elsewhere |= rows != cycle.nodes.row_of.get(node, -1)
        codes[elsewhere] = NO_MATCH
        here = rows[~elsewhere]
        picks = self._picks(cycle, claims, here)
        lacking = [(claim, np.ones(len(here), np.bool_)) for claim in _selected(claims)]
        lacking += [
            (claim, ~np.isin(here, list(found)) if found else np.ones(len(here), np.bool_))
            for claim, found in picks
        ]
        verdicts = np.zeros(len(here), np.int64)
        for claim, lacks in lacking:
            lacks = lacks & (verdicts == 0)
            if lacks.any():
                plan = self._provisioning(cycle, claim)
                verdicts[lacks & ~plan.allowed[here]] = NO_MATCH
                verdicts[lacks & plan.allowed[here] & ~plan.roomy[here]] = NO_SPACE
        codes[~elsewhere] = verdicts
        return codes

    def _picks(self, cycle: Cycle, claims: Claims, rows: Rows) -> Picks:
        """Return the free volumes that the waiting claims would get on each of *rows*."""
        unselected = [c for c in claims.waiting if SELECTED_NODE not in c.metadata.annotations]
        picks: Picks = []
        taken: dict[int, set[str]] = {}
        for claim in sorted(unselected, key=requested_bytes):
            candidates = self._candidates(cycle, claim, len(unselected))
            found: dict[int, PersistentVolume] = {}
            if candidates.reserved or candidates.by_row:
                for row in rows.tolist():
                    volume = _pick(cycle, candidates, row, taken.get(row, ()))
                    if volume is not None:
                        found[row] = volume
                        taken.setdefault(row, set()).add(volume.metadata.name)
            picks.append((claim, found))
        return picks

    def _candidates(self, cycle: Cycle, claim: PersistentVolumeClaim, most: int) -> Candidates:
        key = (self.name, "candidates", claim.metadata.name)
        return cycle.memo(key, lambda: _candidates(cycle, claim, most))

    def _provisioning(self, cycle: Cycle, claim: PersistentVolumeClaim) -> Provisioning:
        key = (self.name, "provisioning", claim.metadata.name)
        return cycle.memo(key, lambda: _provisioning(cycle, claim))


def _claims(cycle: Cycle) -> Claims | Rejection | None:
    """Return a pod's claims, sorted out, or why it can't be scheduled; None = it has none."""
    names, space = [], cycle.pod_class.namespace
    for volume, name in _claim_names(cycle):
        claim = cycle.state.objects.get(PersistentVolumeClaim, name, space)
        words = _unusable(cycle, name, claim, ephemeral=volume)
        if words is not None:
            return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))
        names.append(name)
    if not names:
        return None
    bound: list[PersistentVolumeClaim] = []
    waiting: list[PersistentVolumeClaim] = []
    for name in names:
        claim = cycle.state.volumes.claim(name, space)
        if claim is None:
            continue
        if fully_bound(claim):
            bound.append(claim)
        elif _waits(cycle, claim) and not claim.spec.volume_name:
            waiting.append(claim)
        else:
            return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (UNBOUND,))
    return Claims(tuple(bound), tuple(waiting))


def _who(cycle: Cycle) -> PodIdentity:
    pod, pod_class = cycle.pod, cycle.pod_class
    if pod is None:
        return PodIdentity(pod_class.namespace, "")
    return PodIdentity.of(pod.row, pod_class, {pod.row: pod.name}, cycle.state.uids)


def _claim_names(cycle: Cycle) -> Iterable[tuple[bool, str]]:
    """Yield whether a volume is ephemeral and the name of its claim, for volumes with a claim."""
    who = _who(cycle)
    for volume in cycle.pod_class.spec.volumes:
        name = claim_name(volume, who.name)
        if name is not None:
            yield volume.ephemeral is not None, name


def _unusable(
    cycle: Cycle, name: str, claim: PersistentVolumeClaim | None, *, ephemeral: bool
) -> str | None:
    """Return why a claim can't be used at all, in upstream's words."""
    if claim is None:
        if ephemeral:
            return (
                "waiting for ephemeral volume controller to create the persistentvolumeclaim "
                f'"{name}"'
            )
        return missing("persistentvolumeclaim", name)
    if claim.status.phase == "Lost":
        lost = claim.spec.volume_name
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{lost}"'
    if claim.metadata.deletion_timestamp is not None:
        return f'persistentvolumeclaim "{name}" is being deleted'
    if ephemeral:
        who = _who(cycle)
        return foreign(claim, who.name, who.uid)
    return None


def _waits(cycle: Cycle, claim: PersistentVolumeClaim) -> bool:
    found = cycle.state.objects.get(StorageClass, class_of_claim(claim))
    return found is not None and waits_for_consumer(found)


def _check_bound(
    cycle: Cycle, bound: Iterable[PersistentVolumeClaim], rows: Rows, codes: Codes
) -> None:
    """Set in *codes* what the first claim says whose volume can't be used, by node."""
    for claim in bound:
        volume = cycle.state.volumes.volume(claim.spec.volume_name)
        if volume is None:
            codes[codes == 0] = NO_VOLUME
            return
        fits, failed = _usable(cycle, volume, rows)
        codes[(codes == 0) & failed] = FAILED
        codes[(codes == 0) & ~fits] = CONFLICT


def _usable(cycle: Cycle, volume: PersistentVolume, rows: Rows) -> tuple[Mask, Mask]:
    """Return where a volume can be used, and where its migration to CSI fails, bool [len(rows)]."""
    fits = _among(cycle, rows, _reach(cycle, volume.spec.node_affinity))
    failed = np.zeros(len(rows), np.bool_)
    plugin = in_tree_plugin(volume.spec)
    if plugin is not None and plugin.migrates:
        migrated = cycle.state.volumes.attachments.csi_nodes.migrated(plugin.name)[rows]
        if migrated.any():
            try:
                affinity = translated_affinity(volume, plugin)
            except TranslationError:
                return fits, migrated
            fits = np.where(migrated, _among(cycle, rows, _reach(cycle, affinity)), fits)
    return fits, failed


def _reach(cycle: Cycle, affinity: VolumeNodeAffinity | None) -> NodeRows:
    """Return the rows of the nodes that can use a volume, increasing."""
    required = None if affinity is None else affinity.required
    return cycle.state.volumes.reach.of_nodes(required)


def _among(cycle: Cycle, rows: Rows, reach: NodeRows) -> Mask:
    there = np.zeros(cycle.nodes.size, np.bool_)
    there[reach] = True
    return there[rows]


def _translation_error(cycle: Cycle, bound: Iterable[PersistentVolumeClaim]) -> str:
    """Return what is wrong with the first volume that can't be translated."""
    for claim in bound:
        volume = cycle.state.volumes.volume(claim.spec.volume_name)
        plugin = None if volume is None else in_tree_plugin(volume.spec)
        if volume is not None and plugin is not None and plugin.migrates:
            try:
                translated_affinity(volume, plugin)
            except TranslationError as error:
                return f"could not translate pv: {error}"
    return ""


def _selected(claims: Claims) -> list[PersistentVolumeClaim]:
    """Return the claims that are to be provisioned for a node chosen before."""
    return [claim for claim in claims.waiting if SELECTED_NODE in claim.metadata.annotations]


def _to_provision(claims: Claims, picks: Picks, row: int) -> list[PersistentVolumeClaim]:
    return _selected(claims) + [claim for claim, found in picks if row not in found]


def _pick(
    cycle: Cycle, candidates: Candidates, row: int, taken: Iterable[str]
) -> PersistentVolume | None:
    """Return the volume that a claim gets on a node: one reserved for it, else the smallest."""
    for volume in candidates.reserved:
        if volume.metadata.name not in taken:
            reach = _reach(cycle, volume.spec.node_affinity)
            at = int(np.searchsorted(reach, row))
            return volume if at < len(reach) and reach[at] == row else None
    for volume in candidates.by_row.get(row, ()):
        if volume.metadata.name not in taken:
            return volume
    return None


def _candidates(cycle: Cycle, claim: PersistentVolumeClaim, most: int) -> Candidates:
    """Return the volumes that a claim could get; *most* per node are enough."""
    volumes, kind, selector = cycle.state.volumes, kind_of(claim.spec), claim.spec.selector
    reserved = tuple(v for v in volumes.reserved_volumes(claim) if still_fits(v, claim))
    asked, modes = requested_bytes(claim), frozenset(claim.spec.access_modes)
    by_row: defaultdict[int, list[PersistentVolume]] = defaultdict(list)
    full = np.zeros(cycle.nodes.size, np.bool_)
    for free in volumes.free_volumes(class_of_claim(claim)):
        if free.size < asked or free.kind != kind or not modes <= free.access_modes:
            continue
        volume = free.volume
        if selector is not None and not label_selector_matches(selector, volume.metadata.labels):
            continue
        reach = _reach(cycle, volume.spec.node_affinity)
        if len(reach) > FEW:
            reach = reach[~full[reach]]
        for row in reach.tolist():
            found = by_row[row]
            if len(found) < most:
                found.append(volume)
                full[row] = len(found) == most
    return Candidates(reserved, dict(by_row))


def _provisioning(cycle: Cycle, claim: PersistentVolumeClaim) -> Provisioning:
    """Return where a volume can be provisioned for a claim."""
    size = cycle.nodes.size
    allowed, roomy = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    objects, reach = cycle.state.objects, cycle.state.volumes.reach
    found = objects.get(StorageClass, class_of_claim(claim))
    if found is not None and found.provisioner not in ("", NO_PROVISIONER):
        allowed[reach.of_topologies(found.allowed_topologies)] = True
        driver = objects.get(CSIDriver, found.provisioner)
        tells = driver is not None and bool(driver.spec.storage_capacity)
        if not tells or "storage" not in claim.spec.resources.requests:
            roomy[:] = True
        else:
            for capacity in _capacities(cycle, found.metadata.name):
                if _limit(capacity) >= requested_bytes(claim):
                    roomy[reach.of_labels(capacity.node_topology)] = True
    return Provisioning(allowed, roomy)


def _capacities(cycle: Cycle, storage_class: str) -> Sequence[CSIStorageCapacity]:
    objects = cycle.state.objects

    def by_class() -> dict[str, list[CSIStorageCapacity]]:
        found: dict[str, list[CSIStorageCapacity]] = {}
        for capacity in objects.all(CSIStorageCapacity):
            found.setdefault(capacity.storage_class_name, []).append(capacity)
        return found

    kinds = ("CSIStorageCapacity",)
    return objects.derived("capacities by class", kinds, by_class).get(storage_class, ())


def _limit(capacity: CSIStorageCapacity) -> int:
    """Return the largest volume that a pool can hold; -1 when it doesn't say."""
    for size in (capacity.maximum_volume_size, capacity.capacity):
        if size is not None:
            return size
    return -1
