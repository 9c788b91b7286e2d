"""From the node that a policy has chosen to the bound pod, in simulated time.

::

    assumed --Reserve--> Permit --+--> (waits) --+--> PreBind --+--> (volumes) --+--> bound
                 |         |              |                     |
                 +---------+--------------+---------------------+--> given back

This is upstream's binding cycle. Pods that no plugin has anything to do for take the short way, and
never come here. A pod that waits, or whose volumes are being made, holds its node meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from schedlab.api.objects import ApiObject
from schedlab.cluster.devices import Devices
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.etcd import Stored
from schedlab.controlplane.policy_hooks import Points
from schedlab.controlplane.scheduler_cache import SchedulerCache
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import VOLUMES_BACK, ClusterEvent
from schedlab.scheduling.framework.interface import Permit, Refusal, Writes
from schedlab.scheduling.view import ClusterView
from schedlab.sim.event_calendar import Calendar, Priority

MAX_WAIT_US: Final = 15 * 60 * 1_000_000
"""No plugin holds a pod back for longer, as upstream has it."""

GiveBack = Callable[[Pod, frozenset[str] | None], None]
"""Called with a pod that is not bound after all, and the plugins because of which; None = an error
that may be over next time."""


class _Held:
    """A pod on its way."""

    __slots__ = ("deadline_us", "devices", "hooks", "node", "pod", "sent", "stage")

    def __init__(self, pod: Pod, node: int, devices: Devices | None, hooks: frozenset[str]) -> None:
        self.pod = pod
        self.node = node
        self.devices = devices
        self.hooks = hooks
        self.stage = "permit"
        self.deadline_us = -1
        self.sent: set[tuple[str, str]] = set()


class Bindings:
    """The pods of one scheduler that are on their way from their node to the binding.

    Parameters
    ----------
    points : Points
        Asked at each point.
    calendar, api, cache, view
        The clock, the API server, the scheduler's projection and the view of it.
    bucket : TokenBucket
        The scheduler's client.
    happened : callable
        Told of what may help pods that wait.
    give_back : callable
        Takes back a pod that is not bound after all.
    """

    def __init__(
        self,
        points: Points,
        *,
        name: str,
        calendar: Calendar,
        api: ApiServer,
        cache: SchedulerCache,
        view: ClusterView,
        bucket: TokenBucket,
        happened: Callable[[ClusterEvent], None],
        give_back: GiveBack,
    ) -> None:
        self._points = points
        self._calendar = calendar
        self._api = api
        self._cache = cache
        self._view = view
        self._bucket = bucket
        self._happened = happened
        self._give_back = give_back
        self._held: dict[int, _Held] = {}
        self._unready: dict[int, _Held] = {}
        self.binder = -1
        self._late_id = calendar.register(f"scheduler {name}", "waited long enough", self._late)

    def start(
        self, pod: Pod, node: int, devices: Devices | None, hooks: frozenset[str]
    ) -> Refusal | bool:
        """Begin with a pod that has been assumed; return why not, or whether it waits.

        If it doesn't, `go_on` is to be called for it.
        """
        if not self._held:
            self._api.hear_bound(self.binder, self.bound)
        held = self._held[pod.row] = _Held(pod, node, devices, hooks)
        refusal = self._points.reserve(pod, node, self._view)
        said: Mapping[str, Permit] = {}
        if refusal is None and "permit" in hooks:
            said = self._points.permit(pod, node, self._view)
            refusal = _first_refusal(said)
            if refusal is not None:
                self._points.unreserve(held.pod, held.node)
        if refusal is not None:
            del self._held[pod.row]
            return refusal
        now = self._calendar.now_us
        pending = {
            plugin: now + min(answer.wait_us, MAX_WAIT_US)
            for plugin, answer in said.items()
            if answer.wait_us > 0
        }
        if not pending:
            return False
        self._view.state.waiting.add(pod.row, pod.pod_class, node, pending)
        held.deadline_us = min(pending.values())
        self._calendar.post(held.deadline_us, Priority.QUEUE, self._late_id, pod.row)
        return True

    def go_on(self, row: int) -> None:
        """Prepare and send the binding of a pod that nobody holds back."""
        self._prepare(self._held[row])

    # --- waiting for permission ---------------------------------------------------------------

    def settle(self) -> None:
        """Act upon what was said of waiting pods."""
        waiting = self._view.state.waiting
        while waiting.settled:
            row = waiting.settled.pop(0)
            found = waiting.get(row)
            held = self._held.get(row)
            if found is None or held is None:
                continue
            if found.rejected is not None:
                waiting.pop(row)
                self._fail(held, frozenset((found.rejected[0],)))
            elif not found.pending:
                waiting.pop(row)
                self._prepare(held)

    def _late(self, row: int) -> None:
        held, now = self._held.get(row), self._calendar.now_us
        if held is None or held.deadline_us != now:
            return
        found = self._view.state.waiting.get(row)
        if found is not None:
            plugin = min(found.pending, key=lambda name: found.pending[name])
            held.deadline_us = found.pending[plugin]
            if held.deadline_us > now:  # the one that was the first to give up has allowed it
                self._calendar.post(held.deadline_us, Priority.QUEUE, self._late_id, row)
                return
            found.reject(plugin, f"rejected due to timeout after waiting at plugin {plugin}")
            self.settle()
        elif row in self._unready:
            self._fail(held, None)

    # --- writing what the pod needs -----------------------------------------------------------

    def _prepare(self, held: _Held) -> None:
        held.stage, held.deadline_us = "pre-bind", -1
        answer: Refusal | Writes | None = None
        if "pre_bind" in held.hooks:
            answer = self._points.pre_bind(held.pod, held.node, self._view)
        if isinstance(answer, Refusal):
            self._fail(held, frozenset((answer.plugin,)))
        elif answer is None:
            self._bind(held)
        else:
            self._wait_for(held, answer)

    def _wait_for(self, held: _Held, writes: Writes) -> None:
        now, row = self._calendar.now_us, held.pod.row
        if row not in self._unready:
            self._unready[row] = held
            held.deadline_us = now + writes.timeout_us
            self._calendar.post(held.deadline_us, Priority.QUEUE, self._late_id, row)
        for found in writes.objects:
            identity = (found.kind, found.key)
            if identity not in held.sent:
                held.sent.add(identity)
                self._write(held, found)

    def _write(self, held: _Held, found: ApiObject) -> None:
        def answered(stored: Stored | None) -> None:
            if stored is None and self._unready.get(held.pod.row) is held:
                self._fail(held, None)  # somebody else has written it meanwhile

        sent = self._bucket.take(self._calendar.now_us)
        self._api.update(found, self._cache.revision(found), sent, answered)

    def objects_changed(self) -> None:
        """Ask again about pods that wait for what they need to be there."""
        for held in list(self._unready.values()):
            deadline = held.deadline_us
            del self._unready[held.pod.row]
            answer = self._points.pre_bind(held.pod, held.node, self._view)
            if isinstance(answer, Refusal):
                self._fail(held, frozenset((answer.plugin,)))
            elif answer is None:
                self._bind(held)
            else:
                self._unready[held.pod.row] = held
                held.deadline_us = deadline
                self._wait_for(held, answer)

    # --- the binding itself -------------------------------------------------------------------

    def _bind(self, held: _Held) -> None:
        held.stage, held.deadline_us = "bind", -1
        if "bind" in held.hooks:
            self._points.bind(held.pod, held.node, self._view)
        row = held.pod.row
        devices = held.devices or self._view.state.devices_of.get(row)
        sent = self._bucket.take(self._calendar.now_us)
        self._api.bind(row, held.node, self.binder, sent, devices)

    def bound(self, row: int) -> None:
        """Note that the API server has bound a pod."""
        held = self._held.pop(row, None)
        if held is not None:
            self._points.post_bind(held.pod, held.node, self._view)

    def failed(self, row: int) -> None:
        """Note that the API server has refused to bind a pod, whose node is freed by the caller."""
        held = self._held.pop(row, None)
        if held is not None:
            self._points.unreserve(held.pod, held.node)

    def drop(self, row: int) -> bool:
        """Forget a pod that was deleted before its binding was sent; return whether it was one."""
        held = self._held.get(row)
        if held is None or held.stage == "bind":
            return False
        self._release(held)
        return True

    def _fail(self, held: _Held, rejected_by: frozenset[str] | None) -> None:
        self._release(held)
        self._give_back(held.pod, rejected_by)

    def _release(self, held: _Held) -> None:
        row = held.pod.row
        self._held.pop(row, None)
        self._unready.pop(row, None)
        self._view.state.waiting.pop(row)
        self._points.unreserve(held.pod, held.node)
        self._cache.free(row)
        if held.pod.pod_class.spec.volumes:
            self._happened(ClusterEvent(VOLUMES_BACK))

    @property
    def waits_for_objects(self) -> bool:
        """Return whether some pod waits for what it needs to be there."""
        return bool(self._unready)


def _first_refusal(said: Mapping[str, Permit]) -> Refusal | None:
    for plugin, answer in said.items():
        if answer.rejection is not None:
            return Refusal(plugin, answer.rejection)
    return None
