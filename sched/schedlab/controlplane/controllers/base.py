"""What controllers share: a work queue of keys, reconciled a moment after something changed.

Several changes of one object before its turn cost one reconciliation, as with client-go's work
queue. Only the queue is shared; there is no base class of controllers.
"""

from __future__ import annotations

from collections.abc import Callable

from schedlab.controlplane.apiserver import ApiServer
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


__all__ = ["ApiServer", "SlowStart", "WorkQueue"]
