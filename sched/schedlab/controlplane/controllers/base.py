"""What controllers share: a work queue, and the pods of an owner by logical replica.

Several changes of one object before its turn cost one reconciliation, as with client-go's work
queue. These are parts that a controller has; there is no base class of controllers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from itertools import count

from schedlab.cluster.pods import PodTable
from schedlab.controlplane.config import ControllersConfig
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import Constant, parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority


class WorkQueue:
    """Keys to reconcile, and the controller's client.

    Parameters
    ----------
    name : str
        Name of the controller.
    calendar : Calendar
        Where reconciliations are posted.
    config : ControllersConfig
        Latency of a reconciliation and limits of the client.
    draws : Draws
        Stream of the latencies.
    reconcile : callable
        Called with a key.
    """

    def __init__(
        self,
        name: str,
        *,
        calendar: Calendar,
        config: ControllersConfig,
        draws: Draws,
        reconcile: Callable[[str], None],
    ) -> None:
        self._calendar = calendar
        self._latency = parse_distribution(config.sync)
        self._draws = draws.stream(f"sync/{name}")
        self._reconcile = reconcile
        self._bucket = TokenBucket(config.kube_api_qps, config.kube_api_burst)
        self._waiting: set[str] = set()
        self._turns: dict[str, int] = {}
        self._sync_id = calendar.register(name, "sync", self._sync)

    def add(self, key: str) -> None:
        """Reconcile *key* soon; nothing happens when it is waiting already."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if isinstance(self._latency, Constant):
            delay = self._latency.value
        else:
            turn = self._turns[key] = self._turns.get(key, -1) + 1
            delay = self._latency.quantile(self._draws.uniform(entity_key(key), turn))
        self._calendar.post(self._calendar.now_us + delay, Priority.ARRIVAL, self._sync_id, key)

    def _sync(self, key: str) -> None:
        self._waiting.discard(key)
        self._reconcile(key)

    def send_at(self) -> int:
        """Take a token of the client and return when the request goes out."""
        return self._bucket.take(self._calendar.now_us)


class SlowStart:
    """How many pods a controller creates at once: 1, 2, 4 ... while nothing fails.

    kube-controller-manager creates pods in batches that double, so that a template that is refused
    costs one request instead of hundreds. Here creations are never refused, so the batches only
    shape the burst: a batch goes out when the one before has been answered.
    """

    __slots__ = ("_next", "_open")

    def __init__(self) -> None:
        self._next = 1
        self._open = 0

    def grant(self, wanted: int) -> int:
        """Return how many of *wanted* pods may be created now."""
        if wanted <= 0 or self._open:
            return 0
        batch = min(wanted, self._next)
        self._next *= 2
        self._open = batch
        return batch

    def answered(self, *, more: bool) -> None:
        """Note that one create request was answered; without *more* the next wave starts at 1."""
        self._open = max(0, self._open - 1)
        if not self._open and not more:
            self._next = 1


def owner_key(pods: PodTable, pod: int) -> str:
    """Return ``namespace/name`` of the object that owns a pod."""
    owner = pods.owners[pods.owner[pod]].partition("/")[2]
    return f"{pods.names[pod].partition('/')[0]}/{owner}"


@dataclass(slots=True)
class Replicas:
    """The pods of one owner by logical replica.

    A pod counts from the moment its creation was sent, as upstream's expectations have it, so that
    a slow watch makes no second pod. A replica whose pod failed or went away gets another one under
    the same ordinal.

    Attributes
    ----------
    pod_of : dict of int to int
        Ordinal -> row of its living pod.
    past : dict of int to int
        Ordinal -> how many pods it has had.
    pace : SlowStart
        How many may be created at once.
    """

    pod_of: dict[int, int] = field(default_factory=dict)
    past: dict[int, int] = field(default_factory=dict)
    pace: SlowStart = field(default_factory=SlowStart)

    def lose(self, pod: int, ordinal: int) -> bool:
        """Note that a pod has ended or is going; return whether its replica was living by it."""
        if self.pod_of.get(ordinal) != pod:
            return False
        del self.pod_of[ordinal]
        return True

    def create(
        self, wanted: int, done: Container[int], make: Callable[[int, int], int]
    ) -> Iterator[int]:
        """Make up to *wanted* pods, as many as the pace allows, and yield their rows.

        Parameters
        ----------
        wanted : int
            How many are missing.
        done : container of int
            Ordinals that need no pod any more.
        make : callable
            Returns the row of a new pod, from its ordinal and how many pods that had before.
        """
        open_ordinals = (n for n in count() if n not in self.pod_of and n not in done)
        for _ in range(self.pace.grant(wanted)):
            ordinal = next(open_ordinals)
            past = self.past.get(ordinal, 0)
            pod = make(ordinal, past)
            self.pod_of[ordinal] = pod
            self.past[ordinal] = past + 1
            yield pod
