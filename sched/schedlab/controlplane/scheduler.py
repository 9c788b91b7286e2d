"""kube-scheduler's component: it queues pods, asks a policy, assumes and binds.

The policy (`schedlab.scheduling.base.Scheduler`) decides on a view of this component's own
projection (`SchedulerCache`); the decision then takes simulated time. When that has passed, each
placement is checked against what the component knows by then: what no longer holds goes back to the
queue instead of being bound. Binding is asynchronous (`Bindings`): the pod is assumed, and the next
cycle begins at once. A pod that fits nowhere waits for what may help it (`Requeueing`), and where
others make room for it, the room is kept (`Nominations`).

Not modelled: the status patch that kube-scheduler sends for a pod it could not place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schedlab.api.objects import Node
from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import Devices, device_text
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import OUTCOME, UNPLACED, ApiServer
from schedlab.controlplane.binding import Bindings
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.etcd import Op
from schedlab.controlplane.moves import Moves
from schedlab.controlplane.nominations import Nominations
from schedlab.controlplane.policy_hooks import PolicyHooks, pod_of, served
from schedlab.controlplane.requeueing import Requeueing
from schedlab.controlplane.scheduler_cache import SchedulerCache
from schedlab.controlplane.scheduling_queue import SchedulingQueue
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.errors import InputError
from schedlab.record.recorder import DecisionLog
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Trigger, Verdict
from schedlab.scheduling.framework.cluster_events import PENDING_ADD, ClusterEvent
from schedlab.scheduling.framework.interface import Refusal
from schedlab.scheduling.view import ClusterView
from schedlab.sim.distributions import Constant, parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority

VERDICTS = (
    "placed", "unschedulable", "deferred", "dropped", "stale", "waiting", "nominated",
)  # fmt: skip
STALE, WAITING, NOMINATED = (VERDICTS.index(name) for name in ("stale", "waiting", "nominated"))
# comparing with a member of an enum would cost as much as the rest of the branch
PLACED, UNSCHEDULABLE = int(Verdict.PLACED), int(Verdict.UNSCHEDULABLE)
FOREIGN, ENTERS, ASKS = range(3)


class SchedulerComponent:
    """One scheduler of the cluster, under one ``schedulerName`` or several.

    Parameters
    ----------
    name : str
        The ``schedulerName`` of its pods, unless the policy says that it serves others.
    policy : Scheduler
        What decides.
    calendar, api, pods, decisions
        The clock, the API server, the pods of the run, and where attempts are recorded.
    nodes : iterable of Node
        The nodes there at time 0.
    config : ControlPlaneConfig
        Parameters of the queue, the client and the decision time.
    draws : Draws
        Stream handed to the policy.
    alone : bool
        No other scheduler binds pods, so bindings need not be watched.
    numbers : mapping of str to int
        Under which number the decisions of each ``schedulerName`` are recorded.
    """

    def __init__(
        self,
        name: str,
        policy: Scheduler,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        decisions: DecisionLog,
        nodes: Iterable[Node],
        config: ControlPlaneConfig,
        draws: Draws,
        alone: bool,
        numbers: Mapping[str, int],
    ) -> None:
        own = config.scheduler
        self.name = name
        self.names = served(name, policy)
        self._policy = policy
        self._trigger: Trigger = getattr(policy, "trigger", Trigger())
        self._calendar = calendar
        self._api = api
        self._pods = pods
        self._decisions = decisions
        self._draws = draws
        self._numbers = numbers
        self._bucket = TokenBucket(own.qps, own.burst)
        self._base = parse_distribution(own.decision_time.base)
        self._per_thousand = parse_distribution(own.decision_time.per_thousand_work)
        self._flush_us = round(own.pod_max_in_unschedulable_pods_seconds * 1e6)
        self._drops = own.drop_unschedulable
        self._busy = False
        self._due_us = -1  # when the next cycle is posted for
        self._gone: set[int] = set()
        self._in_flight: tuple[PodBatch, Placement, list[int]] | None = None
        self._seen = (0, 0)  # changes of the nodes that the decision under way knows of
        self._ways: dict[int, int] = {}  # by class: FOREIGN, ENTERS the queue, ASKS before
        cache = self._cache = SchedulerCache(api, pods, nodes, alone=alone)
        self.state = cache.state
        self._view = ClusterView(self.state)
        hooks = self._hooks = PolicyHooks(policy, pods, self._view)
        first, longest = getattr(policy, "backoff_seconds", (None, None))
        self.queue = SchedulingQueue(
            pods,
            round((own.pod_initial_backoff_seconds if first is None else first) * 1e6),
            round((own.pod_max_backoff_seconds if longest is None else longest) * 1e6),
            pop_from_backoff=own.pop_from_backoff_q,
            sort_key=hooks.sort_key(),
            may_enter=self._may_enter if hasattr(policy, "pre_enqueue") else None,
        )
        self._requeueing = Requeueing(self.queue, pods, hooks.register(), cache.hear_binds)
        self._nominations = Nominations(self.state, self._happened)
        self._moves = Moves(self.state, pods, api, self._bucket, self._nominations)
        self._bindings = Bindings(
            hooks.points,
            name=name,
            calendar=calendar,
            api=api,
            cache=cache,
            view=self._view,
            bucket=self._bucket,
            happened=self._happened,
            give_back=self._give_back,
        )
        self._number = self._bindings.binder = api.register_binder(self._binding_failed)
        self._cycle_id = calendar.register(f"scheduler {name}", "cycle", self._cycle)
        self._decided_id = calendar.register(f"scheduler {name}", "decided", self._decided)
        self._flush_id = calendar.register(f"scheduler {name}", "flush", self._flush)
        self._period_id = calendar.register(f"scheduler {name}", "period", self._period)
        watch = api.watch(
            f"scheduler {name}", parse_distribution(config.watch.scheduler), self._wake
        )
        api.watch_pods(watch, Op.CREATE, self._on_create)
        api.watch_pods(watch, Op.UPDATE, self._on_update)
        api.watch_pods(watch, Op.DELETE, self._on_delete)
        cache.open(watch, self._requeueing.awaits, self._happened)
        if self._trigger.period_us is not None:
            calendar.post_background(self._trigger.period_us, Priority.SCHEDULE, self._period_id)

    # --- what the informer delivers -----------------------------------------------------------

    def _on_create(self, pod: int, node: int) -> None:
        if node >= 0:
            self._cache.on_created(pod, node)
        way = self._ways.get(self._pods.pod_class[pod])
        if way is None:
            way = self._way_of(self._pods.class_of(pod))
        if way == FOREIGN or node != UNPLACED:
            return
        now = self._calendar.now_us
        self._pods.seen_by_scheduler_us[pod] = now
        if self._moves:
            self._moves.claim(pod)
        if self._requeueing.awaits_pending(pod):
            self._happened(ClusterEvent(PENDING_ADD, pod=self._pods.class_of(pod)))
        if way == ENTERS:
            self.queue.add(pod, now)
        else:
            self._enter(pod)

    def _way_of(self, pod_class: PodClass) -> int:
        """Return what becomes of new pods of a class."""
        spec, way = pod_class.spec, ENTERS
        if spec.scheduler_name not in self.names:
            way = FOREIGN
        elif spec.scheduling_gates or "pre_enqueue" in self._hooks.of(pod_class):
            way = ASKS
        self._ways[pod_class.id] = way
        return way

    def _enter(self, pod: int) -> None:
        """Let a pod into the queue, or hold it back where a PreEnqueue plugin says so."""
        if self._may_enter(pod):
            self.queue.add(pod, self._calendar.now_us)
        else:
            self.queue.gate(pod)

    def _may_enter(self, pod: int) -> bool:
        refusal = self._hooks.refusal(pod)
        if refusal is not None:
            self._requeueing.hold(pod_of(self._pods, pod), refusal.plugin)
        return refusal is None

    def _on_update(self, pod: int, _: int) -> None:
        """Look again at a pod that has changed: its gates are lifted."""
        if pod in self.queue:
            self._requeueing.release(pod)
            self._enter(pod)

    def _on_delete(self, pod: int, node: int) -> None:
        if pod in self.queue:
            self._requeueing.release(pod)
            self.queue.leave(pod, self._calendar.now_us)
        elif node < 0 and not self._bindings.drop(pod) and self._is_under_way(pod):
            self._gone.add(pod)
        if self.state.nominated:
            self._nominations.drop(pod)
        self._cache.free(pod)
        self._bindings.settle()

    def _is_under_way(self, pod: int) -> bool:
        """Return whether a pod is being decided on, or its binding has been sent."""
        batch = () if self._in_flight is None else self._in_flight[0]
        return pod in self.state.node_of or any(other.row == pod for other in batch)

    def _happened(self, event: ClusterEvent) -> None:
        """Try again what may have been helped."""
        now = self._calendar.now_us
        for pod in self._requeueing.happened(event, now):
            self._requeueing.release(pod)
            if self._may_enter(pod):
                self.queue.add(pod, now)
        if self._bindings.waits_for_objects and event.name.startswith("PersistentVolume"):
            self._bindings.objects_changed()

    # --- cycles -------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Begin a cycle if there is something to try, after a delivery."""
        if self._busy or self.queue.empty:
            return
        now, trigger = self._calendar.now_us, self._trigger
        if trigger.window_us and self.queue.counts["active"] < trigger.max_pods:
            self._post_cycle(now + trigger.window_us if self._due_us < now else self._due_us)
        elif self._calendar.peek() == now:
            self._post_cycle(now)  # what else happens at this instant comes first
        else:
            self._due_us = -1
            self._start()

    def _post_cycle(self, at_us: int) -> None:
        now = self._calendar.now_us
        if self._due_us < now or at_us < self._due_us:
            self._due_us = at_us
            self._calendar.post(at_us, Priority.SCHEDULE, self._cycle_id)

    def _period(self, _: object) -> None:
        period = self._trigger.period_us
        self._calendar.background_done(self._period_id)
        if period is None or self._calendar.idle:
            return
        self._calendar.post_background(
            self._calendar.now_us + period, Priority.SCHEDULE, self._period_id
        )
        if not self._busy:
            self._start(allow_empty=True)

    def _cycle(self, _: object) -> None:
        if self._due_us != self._calendar.now_us:
            return  # the cycle was moved to an earlier time
        self._due_us = -1
        if not self._busy:
            self._start()

    def _start(self, *, allow_empty: bool = False) -> None:
        now, queue, pods = self._calendar.now_us, self.queue, self._pods
        rows: list[int] = []
        if self._moves:
            self._moves.expire(now)
        if queue.empty and not allow_empty:
            return
        while len(rows) < self._trigger.max_pods:
            row = queue.pop(now)
            if row < 0:
                break
            pods.attempts[row] += 1
            rows.append(row)
        if not rows and not allow_empty:
            backoff = queue.next_backoff_us()
            if backoff is not None:
                self._post_cycle(backoff)
            return
        batch = PodBatch([pod_of(pods, row) for row in rows])
        self._view.now_us = now
        placement = self._policy.schedule(batch, self._view, self._draws)
        times = [
            self._decision_us(row, work) for row, work in zip(rows, placement.work, strict=True)
        ]
        nodes = self.state.nodes
        self._in_flight = (batch, placement, times)
        self._seen = (nodes.usage.count, nodes.attributes.count)
        total = sum(times)
        if total == 0:
            self._conclude()
            if not queue.empty:
                self._post_cycle(now)
            return
        self._busy = True
        self._requeueing.decide()
        self._calendar.post(now + total, Priority.SCHEDULE, self._decided_id)

    def _decision_us(self, row: int, work: int) -> int:
        base, slope = self._base, self._per_thousand
        if type(base) is Constant and type(slope) is Constant:
            return base.value + work * slope.value // 1000
        u = self._draws.uniform(self._pods.key[row], self._pods.attempts[row])
        return base.quantile(u) + work * slope.quantile(u) // 1000

    def _decided(self, _: object) -> None:
        self._busy = False
        self._conclude()
        self._start()

    def _conclude(self) -> None:
        if self._in_flight is None:
            raise RuntimeError("a decision came due that nobody made")
        batch, placement, times = self._in_flight
        self._in_flight = None
        now = self._calendar.now_us
        if placement.evictions:
            self._evict(placement, now)
        if placement.moves:
            self._moves.begin(placement.moves, now)
        if len(batch) > 1:
            self._requeueing.decide()  # what becomes of one pod may help another one
        for i, pod in enumerate(batch):
            row, verdict = pod.row, int(placement.verdict[i])
            if row in self._gone:
                self._gone.discard(row)
                self.queue.leave(row, now)  # others may have waited for what becomes of it
                continue
            node, reason = placement.node[i], placement.reason[i]
            if verdict == PLACED:
                verdict, reason = self._take(pod, node, placement.devices.get(i))
            else:
                verdict, node = self._refuse(pod, i, placement)
            self._decisions.append(
                now,
                row,
                pod.attempt,
                self._number_of(pod),
                verdict,
                node,
                placement.feasible[i],
                reason,
                times[i],
                placement.work[i],
            )
        self._requeueing.decided()
        if self.state.waiting.settled:
            self._bindings.settle()

    def _refuse(self, pod: Pod, index: int, placement: Placement) -> tuple[int, int]:
        """Act upon a verdict without a node; return it, and the node that is kept for the pod."""
        now, row, verdict = self._calendar.now_us, pod.row, placement.verdict[index]
        node = placement.nominations.get(index, -1)
        if verdict == Verdict.DEFER:
            self.queue.back_off(row, now, max(placement.until_us[index], now + 1))
        elif verdict == Verdict.DROP or (self._drops and node < 0):
            self._pods.outcome[row] = OUTCOME["dropped"]
            self.queue.leave(row, now)
            return int(Verdict.DROP), -1
        else:
            by = placement.rejected_by.get(index)
            overtaken = self._requeueing.overtaken(pod, by)
            if node >= 0:
                self._nominations.put(pod, node)
            elif index in placement.withdrawn:
                self._nominations.drop(row)
            if overtaken:
                self.queue.back_off(row, now)
            else:
                self._park(pod, by)
        return (NOMINATED if node >= 0 else int(verdict)), node

    def _park(self, pod: Pod, rejected_by: frozenset[str] | None) -> None:
        """Let a pod wait for what may help it."""
        now, alone = self._calendar.now_us, pod.row in self.state.nominated
        self._requeueing.park(pod, rejected_by, now, alone=alone)
        self._calendar.post_background(now + self._flush_us, Priority.QUEUE, self._flush_id)

    def _number_of(self, pod: Pod) -> int:
        """Return under which number decisions on a pod are recorded."""
        name = self.names[0] if len(self.names) == 1 else pod.pod_class.spec.scheduler_name
        return self._numbers[name]

    def _evict(self, placement: Placement, now: int) -> None:
        """Send the evictions of a placement; a pod that only waits for its binding is told so."""
        state = self.state
        for eviction in placement.evictions:
            waiting = state.waiting.get(eviction.pod)
            if waiting is not None:
                waiting.reject("DefaultPreemption", "preempted")
                continue
            self._api.evict_pod(
                eviction.pod,
                self._bucket.take(now),
                eviction.reason,
                preempted=bool(placement.nominations),
            )
            if placement.nominations and eviction.pod in state.node_of:
                state.preempted.add(eviction.pod)

    def _take(self, pod: Pod, node: int, devices: Devices | None) -> tuple[int, str]:
        """Assume a pod on its node and have it bound, unless that no longer holds."""
        now, row, state = self._calendar.now_us, pod.row, self.state
        if not self._still_fits(pod, node, devices):
            self.queue.back_off(row, now)
            return STALE, ""
        state.add_pod(row, pod.pod_class, node, devices)
        self._pods.decided_us[row] = now
        hooks = self._hooks.of(pod.pod_class)
        answer = self._bindings.start(pod, node, devices, hooks) if hooks else False
        if isinstance(answer, Refusal):
            state.remove_pod(row)
            self._park(pod, frozenset((answer.plugin,)))
            return UNSCHEDULABLE, " ".join(answer.rejection.reasons)
        if state.nominated:
            self._nominations.placed(row, node)
        self.queue.leave(row, now)
        if not hooks:
            held = state.devices_of.get(row)
            self._api.bind(row, node, self._number, self._bucket.take(now), held)
        elif not answer:
            self._bindings.go_on(row)
        self._seen = (state.nodes.usage.count, state.nodes.attributes.count)
        return (WAITING if answer else PLACED), ""

    def _still_fits(self, pod: Pod, node: int, devices: Devices | None) -> bool:
        """Check a placement against what is known now, if that isn't what it was based on."""
        nodes, seen = self.state.nodes, self._seen
        now = (nodes.usage.count, nodes.attributes.count)
        wanted = pod.pod_class.devices
        has_gpus = wanted is None or devices is None or nodes.devices.fits_on(node, wanted, devices)
        if has_gpus and nodes.fits(node, pod.pod_class.requests):
            if seen == now or (seen[1] == now[1] and _looks_at_resources_alone(pod.pod_class)):
                return True
            own = getattr(self._policy, "still_fits", None)
            if own is not None:
                return bool(own(pod, node, self._view))
            return bool((self._view.feasible(pod) == node).any())
        if seen == now:
            requests = {nodes.resources[r]: n for r, n in pod.pod_class.requests}
            on = "" if devices is None else f" on its GPUs {device_text(devices)}"
            raise InputError(
                f"scheduler {self.name}: placement of {pod.name}",
                found=nodes.names[node] + on,
                expected=f"a node with room for {requests}",
            )
        return False

    def _give_back(self, pod: Pod, rejected_by: frozenset[str] | None) -> None:
        """Queue a pod again that has given its node back before it was bound."""
        now = self._calendar.now_us
        if rejected_by is None:
            self.queue.back_off(pod.row, now)
        else:
            self._park(pod, rejected_by)
        self._post_cycle(now)

    def _flush(self, _: object) -> None:
        """Try every class once more that has waited too long, in case a reason was missed."""
        self._calendar.background_done(self._flush_id)
        if self._calendar.idle:
            return
        now = self._calendar.now_us
        for lane in self.queue.parked_classes():
            self.queue.activate(lane, now)
        if self.queue.parked_classes():
            self._calendar.post_background(now + self._flush_us, Priority.QUEUE, self._flush_id)
        self._wake()

    def _binding_failed(self, pod: int, reason: str) -> None:
        now = self._calendar.now_us
        self._bindings.failed(pod)
        self._cache.free(pod)
        if pod in self._gone or reason == "the pod is gone":
            self._gone.discard(pod)
        elif self._api.etcd.node[pod] < 0:
            self.queue.back_off(pod, now)
        self._wake()


def _looks_at_resources_alone(pod: PodClass) -> bool:
    """Return whether nothing but resources and nodes decides where pods of a class can go."""
    spec = pod.spec
    plain = spec.affinity is None and not spec.topology_spread_constraints
    return plain and not (pod.host_ports or spec.volumes)
