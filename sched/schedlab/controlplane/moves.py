"""Moves: a pod is evicted, and room elsewhere is kept for the pod that its controller makes anew.

Kubernetes has no moves. The room is kept as that of a nominated pod is, under a number that no pod
has, until a pod of the same class and owner comes, which is nominated in its stead, or until it
expires. Whether it has is looked at when the scheduler begins a cycle: an event of its own would
keep a run going that has nothing else to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.nominations import Nominations
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.scheduling.base import Move

Key = tuple[int, int]
"""Class and owner."""


class Moves:
    """The moves of one scheduler that are under way.

    Parameters
    ----------
    state : ClusterState
        Its projection.
    pods : PodTable
        All pods.
    api : ApiServer
        Takes the evictions.
    bucket : TokenBucket
        The scheduler's share of the API server.
    nominations : Nominations
        Keep the room.
    """

    def __init__(
        self,
        state: ClusterState,
        pods: PodTable,
        api: ApiServer,
        bucket: TokenBucket,
        nominations: Nominations,
    ) -> None:
        self._state = state
        self._pods = pods
        self._api = api
        self._bucket = bucket
        self._nominations = nominations
        self._kept: dict[int, tuple[Key, int]] = {}  # number -> for whom, until when

    def __bool__(self) -> bool:
        """Return whether room is kept for any."""
        return bool(self._kept)

    def begin(self, moves: Iterable[Move], now_us: int) -> None:
        """Evict pods, and keep room for what comes in their stead."""
        state = self._state
        for move in moves:
            node = state.node_of.get(move.pod)
            if node is None or move.pod in state.leaving:
                continue  # it has gone since it was decided on
            number = -1 - move.pod
            self._kept[number] = (self._key(move.pod), move.expires_us)
            state.nominated[number] = (move.node, state.pods_on[node][move.pod])
            self._api.evict_pod(move.pod, self._bucket.take(now_us), move.reason)

    def claim(self, pod: int) -> None:
        """Nominate a new pod for room that is kept for such a one."""
        key = self._key(pod)
        for number, (wanted, _) in self._kept.items():
            if wanted == key:
                del self._kept[number]
                kept = self._state.nominated.pop(number, None)
                if kept is not None:
                    self._state.nominated[pod] = kept
                return

    def expire(self, now_us: int) -> None:
        """Give up room that nobody came for."""
        for number in [n for n, (_, until_us) in self._kept.items() if until_us <= now_us]:
            del self._kept[number]
            self._nominations.drop(number)

    def _key(self, pod: int) -> Key:
        return self._pods.pod_class[pod], self._pods.owner[pod]
