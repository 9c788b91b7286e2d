"""kube-apiserver: the one component that touches etcd, and the one that all others talk to.

A write is sent at a time (its client's rate limiter has spoken already), takes the request's
latency and etcd's commit, and is validated when it is committed: what has changed meanwhile makes
it fail as the real server would. Committed entries go to the watches that subscribed to them.
Reads go to the informers' caches and cost the server nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from schedlab.api.objects import ApiObject, Node, PersistentVolumeClaim
from schedlab.cluster.devices import Devices
from schedlab.cluster.pods import PodLatency, PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.etcd import Conflict, Etcd, Op, Phase, Stored
from schedlab.controlplane.informer import ObjectHandler, PodHandler, Watch
from schedlab.record.schema import OUTCOMES
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import Constant, Distribution, parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority

# Comparing an int with a member of an enum costs as much as the rest of a small handler
_RUNNING, _SUCCEEDED = int(Phase.RUNNING), int(Phase.SUCCEEDED)
_STATUS, _FINISH = int(Op.STATUS), int(Op.FINISH)

OUTCOME = {name: number for number, name in enumerate(OUTCOMES)}
ANY_OWNER, NO_OWNER = "", "-"
LATEST = -1
"""In place of a revision: whatever the last one is."""
UNPLACED, NO_SUCH_NODE = -1, -2
"""What a CREATE entry says in place of a node's row where ``spec.nodeName`` names none."""

BindFailed = Callable[[int, str], None]
"""Called with the pod and the reason when a binding is refused."""

Bound = Callable[[int], None]
"""Called with a pod that has been bound."""

Reply = Callable[[Stored | None], None]
"""Called when the answer is there: the stored version, or None where the write failed."""


class _Write(NamedTuple):
    op: Op
    object: ApiObject
    item: str
    owner: tuple[str, str] | None
    seen_revision: int
    reply: Reply | None


class ApiServer:
    """The API server and the watches that hang on it.

    Parameters
    ----------
    calendar : Calendar
        The clock.
    pods : PodTable
        All pods of the run.
    config : ControlPlaneConfig
        Latencies of the server and of etcd.
    draws : Draws
        Stream of this component.
    truth : ClusterState
        A projection without lag. No component reads it: samples and invariants do.
    """

    def __init__(
        self,
        calendar: Calendar,
        pods: PodTable,
        config: ControlPlaneConfig,
        draws: Draws,
        truth: ClusterState,
    ) -> None:
        self.calendar = calendar
        self.pods = pods
        self.etcd = Etcd(pods)
        self.truth = truth
        self.running = 0
        self.pending = 0
        self.preempted: set[int] = set()
        """Pods that were evicted for others (condition DisruptionTarget, PreemptionByScheduler)."""
        self._draws = draws
        self._request = parse_distribution(config.apiserver.request)
        self._commit = parse_distribution(config.etcd.commit)
        self._latencies = {
            op: (
                PodLatency(self._request, draws.stream(f"request/{op.name}"), pods),
                PodLatency(self._commit, draws.stream(f"commit/{op.name}"), pods),
            )
            for op in Op
        }
        self._fixed_us = -1
        if isinstance(self._request, Constant) and isinstance(self._commit, Constant):
            self._fixed_us = self._request.value + self._commit.value
        self._pod_watches: list[tuple[int, str, Watch, PodHandler]] = []
        self._routes: dict[tuple[int, str], tuple[tuple[Watch, PodHandler], ...]] = {}
        self._object_watches: dict[str, list[tuple[Watch, ObjectHandler]]] = {}
        self._writes: dict[int, _Write] = {}
        self._requests = 0
        self._request_draws = draws.stream("request/objects")
        self._commit_draws = draws.stream("commit/objects")
        self._binders: list[tuple[BindFailed, Bound | None]] = []
        self._deleted_early: set[int] = set()
        self._evicted: dict[int, str] = {}
        register = calendar.register
        self._create_id = register("apiserver", "create pod", self._commit_create)
        self._bind_id = register("apiserver", "bind pod", self._commit_bind)
        self._update_id = register("apiserver", "update pod", self._commit_update)
        self._status_id = register("apiserver", "pod status", self._commit_status)
        self._terminate_id = register("apiserver", "terminate pod", self._commit_terminate)
        self._delete_id = register("apiserver", "delete pod", self._commit_delete)
        self._object_id = register("apiserver", "write object", self._commit_object)

    # --- watches --------------------------------------------------------------------------------

    def watch(
        self, component: str, latency: Distribution, settled: Callable[[], None] | None = None
    ) -> Watch:
        """Open a watch for *component*; *settled* is called after each delivery."""
        draws = self._draws.stream(f"watch/{component}")
        objects = draws.stream("objects")

        def object_latency_us(stored: Stored) -> int:
            if isinstance(latency, Constant):
                return latency.value
            key = entity_key(stored.object.kind, stored.object.key)
            return latency.quantile(objects.uniform(key, stored.revision))

        per_pod = PodLatency(latency, draws, self.pods)
        return Watch(self.calendar, component, per_pod, object_latency_us, settled)

    def watch_pods(
        self, watch: Watch, op: Op, handler: PodHandler, owner_kind: str = ANY_OWNER
    ) -> None:
        """Send entries of pods to *watch*: those of one owner kind, or of all pods."""
        self._pod_watches.append((op, owner_kind, watch, handler))
        self._routes.clear()

    def watch_objects(self, watch: Watch, kind: str, handler: ObjectHandler) -> None:
        """Send every version of objects of *kind* to *watch*."""
        self._object_watches.setdefault(kind, []).append((watch, handler))

    def _notify_pod(self, op: int, pod: int, detail: int) -> None:
        owner = self.pods.owner[pod]
        kind = self.pods.owners[owner].partition("/")[0] if owner >= 0 else NO_OWNER
        route = self._routes.get((op, kind))
        if route is None:
            route = self._routes[op, kind] = tuple(
                (watch, handler)
                for wanted_op, wanted, watch, handler in self._pod_watches
                if wanted_op == op and wanted in (ANY_OWNER, kind)
            )
        for watch, handler in route:
            watch.push_pod(handler, pod, detail)

    # --- pods -----------------------------------------------------------------------------------

    def _due(self, op: Op, pod: int, sent_us: int) -> int:
        if self._fixed_us >= 0:
            return sent_us + self._fixed_us
        request, commit = self._latencies[op]
        return sent_us + request.us(pod) + commit.us(pod)

    def create_pod(self, pod: int, sent_us: int) -> None:
        """Store a pod whose row the client has prepared."""
        self.pods.created_us[pod] = sent_us
        due = self._due(Op.CREATE, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._create_id, pod)

    def _commit_create(self, pod: int) -> None:
        now, pods, etcd = self.calendar.now_us, self.pods, self.etcd
        if pod >= len(etcd.alive):
            etcd.track(len(pods))
        pods.stored_us[pod] = now
        etcd.alive[pod] = 1
        etcd.write_pod(now, Op.CREATE, pod)
        self.pending += 1
        if pod in self._deleted_early:
            self._commit_delete(pod)
            return
        name = pods.class_of(pod).spec.node_name
        if not name:
            self._notify_pod(Op.CREATE, pod, UNPLACED)
            return
        node = self.truth.nodes.row_of.get(name, NO_SUCH_NODE)  # its author has placed it
        self._notify_pod(Op.CREATE, pod, node)
        if node >= 0:
            self._set_node(pod, node)
            self._notify_pod(Op.BIND, pod, node)

    def update_pod(self, pod: int, pod_class: int, sent_us: int) -> None:
        """Make a pod without a node one of another class: its scheduling gates are lifted."""
        due = self._due(Op.UPDATE, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._update_id, (pod, pod_class))

    def _commit_update(self, argument: tuple[int, int]) -> None:
        pod, pod_class = argument
        etcd = self.etcd
        if pod < len(etcd.alive) and etcd.alive[pod] and etcd.node[pod] < 0:
            self.pods.pod_class[pod] = pod_class
            etcd.write_pod(self.calendar.now_us, Op.UPDATE, pod)
            self._notify_pod(Op.UPDATE, pod, UNPLACED)

    def register_binder(self, failed: BindFailed) -> int:
        """Return the number under which a scheduler binds; *failed* hears of refused bindings."""
        self._binders.append((failed, None))
        return len(self._binders) - 1

    def hear_bound(self, binder: int, bound: Bound) -> None:
        """Tell a scheduler of its bindings from now on; few have anything to do then."""
        self._binders[binder] = (self._binders[binder][0], bound)

    def bind(
        self, pod: int, node: int, binder: int, sent_us: int, devices: Devices | None = None
    ) -> None:
        """Bind a pod to a node, and GPUs of it, in the name of the scheduler number *binder*."""
        due = self._due(Op.BIND, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._bind_id, (pod, node, binder, devices))

    def _commit_bind(self, argument: tuple[int, int, int, Devices | None]) -> None:
        pod, node, binder, devices = argument
        etcd = self.etcd
        failed, bound = self._binders[binder]
        if not etcd.alive[pod] or etcd.terminating[pod]:
            failed(pod, "the pod is gone")
        elif etcd.node[pod] >= 0:
            failed(pod, "the pod is bound already")
        else:
            if devices is not None:
                self.pods.devices[pod] = devices
            self._set_node(pod, node)
            self._notify_pod(Op.BIND, pod, node)
            if bound is not None:
                bound(pod)

    def _set_node(self, pod: int, node: int) -> None:
        now, pods = self.calendar.now_us, self.pods
        self.etcd.node[pod] = node
        self.etcd.write_pod(now, Op.BIND, pod, node)
        pods.node[pod] = node
        pods.bound_us[pod] = now
        self.pending -= 1
        pod_class = pods.class_of(pod)
        devices = pods.devices.get(pod)
        self.truth.add_pod(pod, pod_class, node, devices)
        if pod_class.devices is not None and devices is None:  # nobody has chosen: the kubelet will
            pods.devices[pod] = self.truth.devices_of[pod]

    def set_running(self, pod: int, sent_us: int) -> None:
        """Report that the containers run and are ready."""
        due = self._due(Op.STATUS, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._status_id, (pod, _RUNNING, 0))

    def set_ended(self, pod: int, sent_us: int, phase: Phase, reason: str = "") -> None:
        """Report a terminal phase, with a reason where it is a failure."""
        due = self._due(Op.FINISH, pod, sent_us)
        number = self.pods.reasons.add(reason)
        self.calendar.post(due, Priority.WRITE, self._status_id, (pod, int(phase), number))

    def _commit_status(self, argument: tuple[int, int, int]) -> None:
        pod, phase, reason = argument
        etcd, pods, now = self.etcd, self.pods, self.calendar.now_us
        before = etcd.phase[pod]
        if not etcd.alive[pod] or before >= _SUCCEEDED:
            return  # the pod is gone or has ended: the late report has nothing to say
        etcd.phase[pod] = phase
        if phase == _RUNNING:
            etcd.write_pod(now, _STATUS, pod, phase)
            pods.ready_us[pod] = now
            pods.outcome[pod] = OUTCOME["running"]
            self.running += 1
            self._notify_pod(_STATUS, pod, phase)
            return
        etcd.write_pod(now, _FINISH, pod, len(Phase) + reason if reason else phase)
        if before == _RUNNING:
            self.running -= 1
        self._release(pod, now)
        pods.reason[pod] = reason
        if phase == _SUCCEEDED:
            pods.outcome[pod] = OUTCOME["succeeded"]
        else:
            pods.outcome[pod] = OUTCOME["rejected" if pods.started_us[pod] < 0 else "failed"]
        self._notify_pod(_FINISH, pod, phase)

    def _release(self, pod: int, now: int) -> None:
        if self.truth.remove_pod(pod) >= 0:
            self.pods.released_us[pod] = now

    def evict_pod(self, pod: int, sent_us: int, reason: str, *, preempted: bool = False) -> None:
        """Evict a pod: a deletion that the book-keeping counts apart, with its reason.

        *preempted* says that a scheduler makes room for another pod.
        """
        self._evicted[pod] = reason
        if preempted:
            self.preempted.add(pod)
        self.terminate_pod(pod, sent_us)

    def terminate_pod(self, pod: int, sent_us: int) -> None:
        """Ask for a pod's deletion, gracefully where a kubelet has it."""
        due = self._due(Op.TERMINATE, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._terminate_id, pod)

    def _commit_terminate(self, pod: int) -> None:
        etcd = self.etcd
        if self.pods.stored_us[pod] < 0:
            self._deleted_early.add(pod)  # the create request is still on its way
            return
        if not etcd.alive[pod] or etcd.terminating[pod]:
            return  # gone, or asked for already: a second request changes nothing
        if etcd.node[pod] < 0 or etcd.phase[pod] >= Phase.SUCCEEDED:
            self._commit_delete(pod)  # nothing runs: no grace is needed
            return
        etcd.terminating[pod] = 1
        etcd.write_pod(self.calendar.now_us, Op.TERMINATE, pod)
        self._notify_pod(Op.TERMINATE, pod, etcd.node[pod])

    def delete_pod(self, pod: int, sent_us: int) -> None:
        """Remove a pod whose containers have ended."""
        due = self._due(Op.DELETE, pod, sent_us)
        self.calendar.post(due, Priority.WRITE, self._delete_id, pod)

    def _commit_delete(self, pod: int) -> None:
        etcd, pods, now = self.etcd, self.pods, self.calendar.now_us
        if not etcd.alive[pod]:
            return
        etcd.alive[pod] = 0
        etcd.write_pod(now, Op.DELETE, pod)
        pods.deleted_us[pod] = now
        if etcd.phase[pod] == Phase.RUNNING:
            self.running -= 1
        if etcd.node[pod] < 0:
            self.pending -= 1
        if etcd.phase[pod] < Phase.SUCCEEDED:
            self._release(pod, now)
            evicted = self._evicted.pop(pod, None)
            pods.outcome[pod] = OUTCOME["deleted" if evicted is None else "evicted"]
            if evicted:
                pods.reason[pod] = pods.reasons.add(evicted)
        self._notify_pod(Op.DELETE, pod, etcd.node[pod])

    # --- other objects --------------------------------------------------------------------------

    def preload(self, objects: Iterable[tuple[ApiObject, str]]) -> None:
        """Store objects, each with its workload item, that were there before time 0.

        No watch reports them: informers have listed them.
        """
        for item, origin in objects:
            self.etcd.create(0, self._identified(item), origin, None)

    def _merged(self, item: ApiObject) -> tuple[ApiObject, int]:
        """Return an object with what its author has no say in, and its last revision."""
        current = self.etcd.objects.get((item.kind, item.key))
        if current is None:
            return item, LATEST
        old = current.object
        update: dict[str, Any] = {
            "metadata": item.metadata.model_copy(update={"uid": old.metadata.uid})
        }
        if hasattr(old, "status") and not isinstance(old, Node):
            update["status"] = old.status
        return item.model_copy(update=update), current.revision

    def _identified(self, item: ApiObject) -> ApiObject:
        """Return an object with a uid, where other objects refer to it by that."""
        if not isinstance(item, PersistentVolumeClaim) or item.metadata.uid:
            return item
        metadata = item.metadata.model_copy(update={"uid": str(self.etcd.revision + 1)})
        return item.model_copy(update={"metadata": metadata})

    def create(
        self,
        item: ApiObject,
        sent_us: int,
        *,
        origin: str,
        owner: tuple[str, str] | None = None,
        reply: Reply | None = None,
    ) -> None:
        """Create an object other than a pod."""
        self._send(_Write(Op.CREATE, item, origin, owner, 0, reply), sent_us)

    def update(
        self, item: ApiObject, seen_revision: int, sent_us: int, reply: Reply | None = None
    ) -> None:
        """Replace an object, if nobody has since *seen_revision*."""
        self._send(_Write(Op.UPDATE, item, "", None, seen_revision, reply), sent_us)

    def replace(self, item: ApiObject, sent_us: int, reply: Reply | None = None) -> None:
        """Make an object what its author says, whoever has written it before.

        Its status stays what it is, but for that of a node, which says what the node offers.
        """
        self._send(_Write(Op.UPDATE, item, "", None, LATEST, reply), sent_us)

    def delete(self, item: ApiObject, sent_us: int, reply: Reply | None = None) -> None:
        """Remove an object; what it owns is the garbage collector's business."""
        self._send(_Write(Op.DELETE, item, "", None, 0, reply), sent_us)

    def _send(self, write: _Write, sent_us: int) -> None:
        number = self._requests
        self._requests += 1
        self._writes[number] = write
        delay = self._fixed_us
        if delay < 0:
            key = entity_key(write.object.kind, write.object.key, write.op.name)
            seen = write.seen_revision
            delay = self._request.quantile(self._request_draws.uniform(key, seen))
            delay += self._commit.quantile(self._commit_draws.uniform(key, seen))
        self.calendar.post(sent_us + delay, Priority.WRITE, self._object_id, number)

    def _commit_object(self, number: int) -> None:
        write, now = self._writes.pop(number), self.calendar.now_us
        stored: Stored | None
        try:
            if write.op == Op.CREATE:
                made = self._identified(write.object)
                stored = self.etcd.create(now, made, write.item, write.owner)
            elif write.op == Op.UPDATE:
                item, seen = write.object, write.seen_revision
                if seen == LATEST:
                    item, seen = self._merged(item)
                stored = self.etcd.update(now, item, seen)
            else:
                stored = self.etcd.delete(now, write.object.kind, write.object.key)
        except Conflict:
            stored = None
        if stored is not None:
            if isinstance(stored.object, Node) and not stored.deleted:
                self.truth.nodes.add(stored.object)
            for watch, handler in self._object_watches.get(stored.object.kind, ()):
                watch.push_object(handler, stored)
        if write.reply is not None:
            write.reply(stored)
