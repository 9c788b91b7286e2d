"""etcd: a log of revisions, and what the log adds up to.

Every write is one revision with its time, kind, operation and an immutable payload: for pods the
changed columns as ints, for other kinds a frozen object. Nothing is overwritten in the log; what is
current is kept beside it. An update is a compare-and-swap on the object's last revision: a writer
that has not seen the last one gets a `Conflict`. A store of mutable objects was rejected: a lagging
informer would see the future through them.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from schedlab.api.objects import ApiObject
from schedlab.cluster.pods import PodTable
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.record.recorder import Coded, Table, to_numpy


class Op(IntEnum):
    """What a revision did."""

    CREATE = 0
    BIND = 1
    STATUS = 2
    FINISH = 3
    UPDATE = 4
    TERMINATE = 5
    DELETE = 6


class Phase(IntEnum):
    """``status.phase`` of a pod."""

    PENDING = 0
    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3


class Conflict(Exception):  # noqa: N818 - Kubernetes' own word
    """The object has changed, is gone, or exists already: what a real client gets as 409 or 404."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object other than a pod.

    Attributes
    ----------
    object : ApiObject
        Frozen.
    uid : int
        Identity: a name that is used again has another one.
    revision : int
        The revision that wrote this version.
    item : str
        Workload item it came from.
    owner : tuple of (str, str) or None
        Kind and key of the controlling object.
    deleted : bool
        This version is the removal.
    """

    object: ApiObject
    uid: int
    revision: int
    item: str
    owner: tuple[str, str] | None = None
    deleted: bool = False


class Etcd:
    """The store: a log and the current state.

    Attributes
    ----------
    revision : int
        Revision of the last write.
    phase, node, terminating, alive : array
        Current state of each pod: `Phase`, row of its node or -1, a deletion was asked for, it is
        in the store.
    objects : dict of (str, str) to Stored
        Current version of every other object, by (kind, key).
    """

    def __init__(self, pods: PodTable) -> None:
        self.revision = 0
        self.phase = array("b")
        self.node = array("i")
        self.terminating = array("b")
        self.alive = array("b")
        self.objects: dict[tuple[str, str], Stored] = {}
        self._pods = pods
        self._uids = 0
        self._versions: list[Stored] = []
        self._kinds: Vocabulary[str] = Vocabulary(["Pod"])
        self._time_us = array("q")
        self._kind = array("b")
        self._op = array("b")
        self._subject = array("i")
        self._detail = array("i")

    def write_pod(self, time_us: int, op: int, pod: int, detail: int = 0) -> None:
        """Append a revision of a pod; *detail* is a node row (BIND), a phase or a reason."""
        self.revision += 1
        self._time_us.append(time_us)
        self._kind.append(0)
        self._op.append(op)
        self._subject.append(pod)
        self._detail.append(detail)

    def track(self, pods: int) -> None:
        """Make room for the state of *pods* pods."""
        missing = pods - len(self.phase)
        if missing > 0:
            self.phase.extend([0] * missing)
            self.node.extend([-1] * missing)
            self.terminating.extend([0] * missing)
            self.alive.extend([0] * missing)

    def create(
        self, time_us: int, item: ApiObject, origin: str, owner: tuple[str, str] | None
    ) -> Stored:
        """Store a new object.

        Raises
        ------
        Conflict
            An object of that kind and name exists.
        """
        kind, key = item.kind, item.key
        if (kind, key) in self.objects:
            raise Conflict(f"{kind} {key} already exists")
        self._uids += 1
        stored = Stored(item, self._uids, self.revision + 1, origin, owner)
        self._append(time_us, Op.CREATE, stored)
        return stored

    def update(self, time_us: int, item: ApiObject, seen_revision: int) -> Stored:
        """Replace an object if its last revision is *seen_revision*.

        Raises
        ------
        Conflict
            It has changed since, or is gone.
        """
        current = self.objects.get((item.kind, item.key))
        if current is None or current.revision != seen_revision:
            found = "gone" if current is None else f"at revision {current.revision}"
            raise Conflict(f"{item.kind} {item.key} is {found}, not at {seen_revision}")
        stored = Stored(item, current.uid, self.revision + 1, current.item, current.owner)
        self._append(time_us, Op.UPDATE, stored)
        return stored

    def delete(self, time_us: int, kind: str, key: str) -> Stored:
        """Remove an object and return its last version, marked as deleted.

        Raises
        ------
        Conflict
            There is none.
        """
        last = self.objects.get((kind, key))
        if last is None:
            raise Conflict(f"{kind} {key} not found")
        gone = Stored(last.object, last.uid, self.revision + 1, last.item, last.owner, deleted=True)
        self._append(time_us, Op.DELETE, gone)
        return gone

    def _append(self, time_us: int, op: Op, stored: Stored) -> None:
        self.revision += 1
        identity = (stored.object.kind, stored.object.key)
        if stored.deleted:
            del self.objects[identity]
        else:
            self.objects[identity] = stored
        self._time_us.append(time_us)
        self._kind.append(self._kinds.add(stored.object.kind))
        self._op.append(op)
        self._subject.append(len(self._versions))
        self._detail.append(0)
        self._versions.append(stored)

    def of_kind(self, kind: str) -> Iterator[Stored]:
        """Yield the current objects of a kind, in order of creation."""
        return (stored for (k, _), stored in self.objects.items() if k == kind)

    def digest(self) -> str:
        """Return the SHA-256 of the log: times, kinds, operations, subjects and payloads."""
        sha = hashlib.sha256()
        for column in (self._time_us, self._kind, self._op, self._subject, self._detail):
            sha.update(column.tobytes())
        for name in self._pods.names:
            sha.update(name.encode())
            sha.update(b"\n")
        written: dict[int, object] = {}  # specs by identity: most versions only change the status
        for version in self._versions:
            found = version.object
            spec, status = getattr(found, "spec", None), getattr(found, "status", None)
            if spec is not None and status is not None and id(spec) in written:
                sha.update(status.model_dump_json().encode())
            else:
                written[id(spec)] = spec
                sha.update(found.model_dump_json().encode())
        return sha.hexdigest()

    def table(self, nodes: list[str], reasons: list[str]) -> Table:
        """Return the log as the table ``events``.

        Parameters
        ----------
        nodes : list of str
            Node names by row.
        reasons : list of str
            Reasons of terminal phases by number.
        """
        op, kind = to_numpy(self._op).astype(np.int32), to_numpy(self._kind).astype(np.int32)
        subject, detail = to_numpy(self._subject), to_numpy(self._detail)
        pods = self._pods.names
        other = kind != 0
        phases = [phase.name.capitalize() for phase in Phase]
        values = ["", *nodes, *phases, *reasons]
        code = np.zeros(len(op), np.int32)
        bind = (op == Op.BIND) & ~other
        status = ((op == Op.STATUS) | (op == Op.FINISH)) & ~other
        code[bind] = detail[bind] + 1
        first_phase, first_reason = 1 + len(nodes), 1 + len(nodes) + len(phases)
        plain = status & (detail < len(phases))
        code[plain] = detail[plain] + first_phase
        explained = status & ~plain
        code[explained] = detail[explained] - len(phases) + first_reason
        names = [*pods, *(v.object.key for v in self._versions)]
        return {
            "revision": np.arange(1, self.revision + 1, dtype=np.int64),
            "time_us": to_numpy(self._time_us),
            "kind": Coded(kind, list(self._kinds)),
            "operation": Coded(op, [o.name.lower() for o in Op]),
            "object": Coded(np.where(other, subject + len(pods), subject).astype(np.int32), names),
            "detail": Coded(code, values),
        }
