"""kube-scheduler's component: it queues pods, asks a policy, assumes and binds.

The policy (`schedlab.scheduling.base.Scheduler`) decides on a view of this component's own
projection; the decision then takes simulated time. When that has passed, each placement is checked
against what the component knows by then: what no longer holds goes back to the queue instead of
being bound. Binding is asynchronous: the pod is assumed, and the next cycle begins at once.

Not modelled: the status patch that kube-scheduler sends for a pod it could not place.
"""

from __future__ import annotations

from collections.abc import Iterable

from schedlab.api.objects import Node
from schedlab.cluster.devices import Devices, device_text
from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.apiserver import OUTCOME, UNPLACED, ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.etcd import Op, Stored
from schedlab.controlplane.scheduling_queue import SchedulingQueue
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.errors import InputError
from schedlab.record.recorder import DecisionLog
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Trigger, Verdict
from schedlab.scheduling.view import ClusterView
from schedlab.sim.distributions import Constant, parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority

VERDICTS = ("placed", "unschedulable", "deferred", "dropped", "stale")
STALE = VERDICTS.index("stale")


class SchedulerComponent:
    """One scheduler of the cluster, under one ``schedulerName``.

    Parameters
    ----------
    name : str
        The ``schedulerName`` of its pods.
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
    ) -> None:
        own = config.scheduler
        self.name = name
        self.state = ClusterState(pods.classes)
        for node in nodes:
            self.state.nodes.add(node)
        self.queue = SchedulingQueue(
            pods,
            round(own.pod_initial_backoff_seconds * 1e6),
            round(own.pod_max_backoff_seconds * 1e6),
            pop_from_backoff=own.pop_from_backoff_q,
        )
        self._policy = policy
        self._trigger: Trigger = getattr(policy, "trigger", Trigger())
        self._calendar = calendar
        self._api = api
        self._pods = pods
        self._decisions = decisions
        self._view = ClusterView(self.state)
        self._draws = draws
        self._bucket = TokenBucket(own.qps, own.burst)
        self._base = parse_distribution(own.decision_time.base)
        self._per_thousand = parse_distribution(own.decision_time.per_thousand_work)
        self._flush_us = round(own.pod_max_in_unschedulable_pods_seconds * 1e6)
        self._drops = own.drop_unschedulable
        self._busy = False
        self._due_us = -1  # when the next cycle is posted for
        self._gone: set[int] = set()
        self._in_flight: tuple[PodBatch, Placement, list[int], tuple[int, int]] | None = None
        self._number = api.register_binder(self._binding_failed)
        self._cycle_id = calendar.register(f"scheduler {name}", "cycle", self._cycle)
        self._decided_id = calendar.register(f"scheduler {name}", "decided", self._decided)
        self._flush_id = calendar.register(f"scheduler {name}", "flush", self._flush)
        self._period_id = calendar.register(f"scheduler {name}", "period", self._period)
        watch = api.watch(
            f"scheduler {name}", parse_distribution(config.watch.scheduler), self._wake
        )
        api.watch_pods(watch, Op.CREATE, self._on_create)
        api.watch_pods(watch, Op.FINISH, self._on_finish)
        api.watch_pods(watch, Op.DELETE, self._on_delete)
        if not alone:
            api.watch_pods(watch, Op.BIND, self._on_bind)
        api.watch_objects(watch, "Node", self._on_node)
        if self._trigger.period_us is not None:
            calendar.post_background(self._trigger.period_us, Priority.SCHEDULE, self._period_id)

    # --- what the informer delivers -----------------------------------------------------------

    def _on_create(self, pod: int, node: int) -> None:
        if node >= 0:
            self._on_bind(pod, node)
        spec = self._pods.class_of(pod).spec
        if node != UNPLACED or spec.scheduler_name != self.name:
            return
        now = self._calendar.now_us
        self._pods.seen_by_scheduler_us[pod] = now
        if spec.scheduling_gates:
            self.queue.gate(pod)
        else:
            self.queue.add(pod, now)

    def _on_bind(self, pod: int, node: int) -> None:
        if pod not in self.state.node_of:
            self.queue.leave(pod, self._calendar.now_us)
            pods = self._pods
            self.state.add_pod(pod, pods.class_of(pod), node, pods.devices.get(pod))

    def _on_finish(self, pod: int, _: int) -> None:
        self._free(pod)

    def _on_delete(self, pod: int, node: int) -> None:
        if pod in self.queue:
            self.queue.leave(pod, self._calendar.now_us)
        elif node < 0:
            self._gone.add(pod)  # being decided on, or its binding is on the way
        self._free(pod)

    def _on_node(self, stored: Stored) -> None:
        node = stored.object
        if not isinstance(node, Node):
            raise TypeError(f"a watch of nodes delivered a {node.kind}")
        if stored.deleted:
            self.state.nodes.remove(node.metadata.name)
        else:
            self._improved(self.state.nodes.add(node))

    def _free(self, pod: int) -> None:
        node = self.state.remove_pod(pod)
        if node >= 0:
            self._improved(node)

    def _improved(self, node: int) -> None:
        """Try the classes again that fit on a node that has just changed for the better."""
        nodes, classes, now = self.state.nodes, self._pods.classes, self._calendar.now_us
        for pod_class in self.queue.parked_classes():
            if nodes.fits(node, classes[pod_class].requests):
                self.queue.activate(pod_class, now)

    # --- cycles -------------------------------------------------------------------------------

    def _wake(self) -> None:
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
        batch = PodBatch([self._pod(row) for row in rows])
        self._view.now_us = now
        placement = self._policy.schedule(batch, self._view, self._draws)
        times = [
            self._decision_us(row, work) for row, work in zip(rows, placement.work, strict=True)
        ]
        nodes = self.state.nodes
        self._in_flight = (batch, placement, times, (nodes.usage.count, nodes.attributes.count))
        total = sum(times)
        if total == 0:
            self._conclude()
            if not queue.empty:
                self._post_cycle(now)
            return
        self._busy = True
        self._calendar.post(now + total, Priority.SCHEDULE, self._decided_id)

    def _pod(self, row: int) -> Pod:
        pods = self._pods
        return Pod(
            row,
            pods.classes[pods.pod_class[row]],
            pods.names[row],
            pods.key[row],
            pods.attempts[row],
            pods.created_us[row],
            pods.estimate_us[row],
        )

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
        batch, placement, times, seen = self._in_flight
        self._in_flight = None
        now = self._calendar.now_us
        for eviction in placement.evictions:
            self._api.evict_pod(eviction.pod, self._bucket.take(now), eviction.reason)
        for i, pod in enumerate(batch):
            row, verdict = pod.row, int(placement.verdict[i])
            if row in self._gone:
                self._gone.discard(row)
                continue
            if verdict == Verdict.PLACED:
                node = placement.node[i]
                devices = placement.devices.get(i)
                if self._still_fits(pod, node, devices, seen):
                    self._assume(pod, node, devices, now)
                    nodes = self.state.nodes
                    seen = (nodes.usage.count, nodes.attributes.count)
                else:
                    verdict = STALE
                    self.queue.back_off(row, now)
            elif verdict == Verdict.UNSCHEDULABLE and not self._drops:
                self._park(row, now, seen)
            elif verdict == Verdict.DEFER:
                self.queue.back_off(row, now, max(placement.until_us[i], now + 1))
            else:
                verdict = int(Verdict.DROP)
                self._pods.outcome[row] = OUTCOME["dropped"]
                self.queue.leave(row, now)
            self._decisions.append(
                now,
                row,
                pod.attempt,
                self._number,
                verdict,
                placement.node[i],
                placement.feasible[i],
                placement.reason[i],
                times[i],
                placement.work[i],
            )

    def _still_fits(
        self, pod: Pod, node: int, devices: Devices | None, seen: tuple[int, int]
    ) -> bool:
        """Check a placement against what is known now; *seen* is what the decision was based on."""
        nodes = self.state.nodes
        wanted = pod.pod_class.devices
        has_gpus = wanted is None or devices is None or nodes.devices.fits_on(node, wanted, devices)
        if has_gpus and nodes.fits(node, pod.pod_class.requests):
            same = seen[1] == nodes.attributes.count
            return same or bool((self._view.feasible(pod) == node).any())
        if seen == (nodes.usage.count, nodes.attributes.count):
            requests = {nodes.resources[r]: n for r, n in pod.pod_class.requests}
            on = "" if devices is None else f" on its GPUs {device_text(devices)}"
            raise InputError(
                f"scheduler {self.name}: placement of {pod.name}",
                found=nodes.names[node] + on,
                expected=f"a node with room for {requests}",
            )
        return False

    def _assume(self, pod: Pod, node: int, devices: Devices | None, now: int) -> None:
        row = pod.row
        self.state.add_pod(row, pod.pod_class, node, devices)
        self._pods.decided_us[row] = now
        held = self.state.devices_of.get(row)
        self._api.bind(row, node, self._number, self._bucket.take(now), held)
        self.queue.leave(row, now)

    def _park(self, row: int, now: int, seen: tuple[int, int]) -> None:
        nodes = self.state.nodes
        if seen == (nodes.usage.count, nodes.attributes.count):
            self.queue.park(row, now)
        else:  # something moved while it was being decided: no event would wake it
            self.queue.back_off(row, now)
        self._calendar.post_background(now + self._flush_us, Priority.QUEUE, self._flush_id)

    def _flush(self, _: object) -> None:
        """Try every class once more that has waited too long, in case a reason was missed."""
        self._calendar.background_done(self._flush_id)
        if self._calendar.idle:
            return
        now = self._calendar.now_us
        for pod_class in self.queue.parked_classes():
            self.queue.activate(pod_class, now)
        if self.queue.parked_classes():
            self._calendar.post_background(now + self._flush_us, Priority.QUEUE, self._flush_id)
        self._wake()

    def _binding_failed(self, pod: int, reason: str) -> None:
        now = self._calendar.now_us
        self._free(pod)
        if pod in self._gone or reason == "the pod is gone":
            self._gone.discard(pod)
        elif self._api.etcd.node[pod] < 0:
            self.queue.back_off(pod, now)
        self._wake()
