"""Events of the cluster as a scheduler sees them, and who waits for them.

`schedlab.scheduling.framework.queueing_hints` says which of them may help whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from schedlab.api.objects import ApiObject
from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState

NODE_ADD: Final = "Node/Add"
NODE_UPDATE: Final = "Node/Update"
NODE_DELETE: Final = "Node/Delete"
POD_ADD: Final = "AssignedPod/Add"
"""A pod was seen bound."""
POD_DELETE: Final = "AssignedPod/Delete"
"""A pod that held resources is gone or has ended, or one gave up the node it was nominated for."""
PENDING_ADD: Final = "UnscheduledPod/Add"
"""A pod without a node was created."""
VOLUMES_BACK: Final = "Volume/Unreserve"
"""Volumes that were kept for a pod are free again: it is not bound after all."""
ANY: Final = "*"
"""In what is registered: every event."""


class ClusterEvent(NamedTuple):
    """Something that has just changed in the cluster, as the scheduler sees it.

    Attributes
    ----------
    name : str
        One of the constants of this module, or ``<kind>/Add``, ``/Update`` or ``/Delete``.
    node : int
        Row of the node, or of the pod's node; -1 = none.
    pod : PodClass, optional
        Class of the pod that came or went.
    old, new : ApiObject, optional
        The object before and after.
    priority : int, optional
        Only pods of at most this priority can be helped.
    """

    name: str
    node: int = -1
    pod: PodClass | None = None
    old: ApiObject | None = None
    new: ApiObject | None = None
    priority: int | None = None


Hint = Callable[[ClusterEvent], bool]
Registered = Mapping[str, Hint]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod that a plugin has rejected.

    Attributes
    ----------
    plugin : object
        The plugin.
    pod : PodClass
        The pod's class.
    name : str
        Its bare name.
    state : ClusterState
        The cluster.
    may_preempt : callable
        Returns whether there may be pods that it could preempt at all.
    """

    plugin: Any
    pod: PodClass
    name: str
    state: ClusterState
    may_preempt: Callable[[], bool]


def always(_: ClusterEvent) -> bool:
    """Return that the event may help, whatever it is about."""
    return True


def labels_of(found: ApiObject) -> Mapping[str, str]:
    """Return the labels of an object."""
    return found.metadata.labels


def relabelled(event: ClusterEvent) -> bool:
    """Return whether an object is new or has other labels than before."""
    old, new = event.old, event.new
    return old is None or new is None or labels_of(old) != labels_of(new)
