"""The decision loop alone: pop, schedule, assume, with a clock that moves on with each attempt.

This is the loop of `schedlab.controlplane.scheduler` without its control plane: no API server, no
latencies, no events but those that a benchmark asks for. Virtual time passes at so many attempts a
second; wall time is read once per batch, and nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import ClassTable
from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.config import SchedulerConfig
from schedlab.controlplane.nominations import Nominations
from schedlab.controlplane.policy_hooks import PolicyHooks
from schedlab.controlplane.scheduling_queue import SchedulingQueue
from schedlab.record.wallclock import cpu_s, elapsed_ns
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Trigger, Verdict
from schedlab.scheduling.view import ClusterView

SECOND_US = 1_000_000
PLACED = int(Verdict.PLACED)  # the look-up in the enumeration took a tenth of the loop
_NEVER = 1 << 62
_FIRST = -1  # before all times: such a pod stands in front of all others of its priority

Event = Callable[[int], int]
"""Takes the virtual time at which it was due; returns when it is due again, or -1 = never."""


@dataclass
class Timings:
    """What one pass of the loop cost.

    Attributes
    ----------
    stamps_ns : int64 array of shape [B + 1]
        Wall time at the start and after each of B batches.
    attempts : int64 array of shape [B]
        Pods in each batch.
    placed : int64 array of shape [B]
        Pods of those that were waited for that each batch placed.
    cpu_s : float
        Processor time of the whole pass.
    """

    stamps_ns: NDArray[np.int64]
    attempts: NDArray[np.int64]
    placed: NDArray[np.int64]
    cpu_s: float

    @property
    def wall_s(self) -> float:
        """Wall time of the whole pass."""
        return float(self.stamps_ns[-1] - self.stamps_ns[0]) / 1e9


@dataclass
class Loop:
    """A scheduler, its queue and its cluster.

    Parameters
    ----------
    scheduler : Scheduler
        What is measured.
    pace : int
        Attempts per second of virtual time.
    draws : Draws
        Handed to the scheduler.
    batch : int, optional
        Most pods in one call of the scheduler; what its trigger says where absent.
    backoff : bool, default False
        Let preemptors back off; otherwise they are tried again at once.
    """

    scheduler: Scheduler
    pace: int
    draws: Draws
    batch: int | None = None
    backoff: bool = False
    now_us: int = 0
    preempted: int = 0
    state: ClusterState = field(default_factory=lambda: ClusterState(ClassTable(ResourceNames())))
    _events: list[tuple[int, int, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = SchedulerConfig()
        self.pods = PodTable(self.state.classes)
        self.state.names = self.pods.names
        self.state.start_us = self.pods.started_us
        self._view = ClusterView(self.state)
        self._hooks = PolicyHooks(self.scheduler, self.pods, self._view)
        self.queue = SchedulingQueue(
            self.pods,
            round(own.pod_initial_backoff_seconds * SECOND_US),
            round(own.pod_max_backoff_seconds * SECOND_US),
            pop_from_backoff=own.pop_from_backoff_q,
            sort_key=self._hooks.sort_key(),
        )
        self._nominations = Nominations(self.state, lambda event: self.improved(event.node))
        if self.batch is None:
            self.batch = getattr(self.scheduler, "trigger", Trigger()).max_pods

    # --- what happens to the cluster ----------------------------------------------------------

    def at(self, due_us: int, event: Event) -> None:
        """Let something happen at a virtual time."""
        heappush(self._events, (due_us, len(self._events), event))

    def enqueue(self, pod: int) -> None:
        """Let a pod into the queue, or hold it where a plugin says so."""
        self.pods.created_us[pod] = self.now_us
        if self._hooks.refusal(pod) is None:
            self.queue.add(pod, self.now_us)
        else:
            self.queue.gate(pod)

    def delete(self, pod: int) -> None:
        """Take a pod away, wherever it is."""
        if pod in self.queue:
            self.queue.leave(pod, self.now_us)
        self._nominations.drop(pod)
        node = self.state.remove_pod(pod)
        if node >= 0:
            self.improved(node)

    def remove_node(self, name: str) -> None:
        """Take a node away that no pod is on."""
        self.state.nodes.remove(name)

    def improved(self, node: int) -> None:
        """Try the classes again that fit on a node that has just changed for the better."""
        nodes, classes = self.state.nodes, self.state.classes
        for pod_class in self.queue.parked_classes():
            if nodes.fits(node, classes[pod_class].requests):
                self.queue.activate(pod_class, self.now_us)

    # --- the loop -----------------------------------------------------------------------------

    def run(self, first: int, count: int) -> Timings:
        """Schedule until the pods *first* .. *first* + *count* - 1 are placed, or none is left.

        Other pods that are in the queue before them are scheduled on the way.
        """
        pods, view, schedule, draws = self.pods, self._view, self.scheduler.schedule, self.draws
        pop, classes, classes_of, names = self.queue.pop, pods.classes, pods.pod_class, pods.names
        keys, attempts, created, estimates = (
            pods.key,
            pods.attempts,
            pods.created_us,
            pods.estimate_us,
        )
        conclude, clock, end = self._conclude, elapsed_ns, first + count
        most = self.batch or 1
        step_us, due = SECOND_US // self.pace, self._events[0][0] if self._events else _NEVER
        left, fruitless, cpu = count, 0, cpu_s()
        tried: list[int] = []
        placed: list[int] = []
        stamps = [clock()]
        while left and fruitless <= 2 * len(pods) + 100:  # else a policy puts pods off for ever
            now = self.now_us
            if now >= due:
                due = self._happen()
            batch: list[Pod] = []
            room = 1 if most == 1 else min(most, (due - now) // step_us + 1)
            while room and (row := pop(now)) >= 0:
                room -= 1
                attempts[row] = attempt = attempts[row] + 1
                batch.append(
                    Pod(
                        row,
                        classes[classes_of[row]],
                        names[row],
                        keys[row],
                        attempt,
                        created[row],
                        estimates[row],
                    )
                )
            if not batch:
                break
            view.now_us = now
            done = conclude(batch, schedule(PodBatch(batch), view, draws), first, end)
            self.now_us = now + step_us * len(batch)
            left -= done
            fruitless = 0 if done else fruitless + 1
            tried.append(len(batch))
            placed.append(done)
            stamps.append(clock())
        return Timings(
            np.array(stamps, np.int64),
            np.array(tried, np.int64),
            np.array(placed, np.int64),
            cpu_s() - cpu,
        )

    def _happen(self) -> int:
        """Let happen what is due; return when the next is."""
        events, now = self._events, self.now_us
        while events and events[0][0] <= now:
            due, number, event = heappop(events)
            again = event(due)
            if again >= 0:
                heappush(events, (again, number, event))
        return events[0][0] if events else _NEVER

    def _conclude(self, batch: list[Pod], placement: Placement, first: int, end: int) -> int:
        """Act on a placement; return how many of the pods *first* .. *end* - 1 it placed."""
        leave, add_pod, nominated = self.queue.leave, self.state.add_pod, self.state.nominated
        verdicts, nodes, devices = placement.verdict, placement.node, placement.devices
        now, done, last, reserving = self.now_us, 0, None, False
        for i, pod in enumerate(batch):
            if verdicts[i] != PLACED:
                self._refused(i, pod, placement)
                continue
            row, pod_class, node = pod.row, pod.pod_class, nodes[i]
            add_pod(row, pod_class, node, devices.get(i) if devices else None)
            if pod_class is not last:
                last, reserving = pod_class, "reserve" in self._hooks.of(pod_class)
            if reserving and not self._reserved(pod, node):
                continue
            leave(row, now)
            if nominated:
                self._nominations.placed(row, node)
            if first <= row < end:
                done += 1
        if placement.evictions:
            self._evict(placement)
        return done

    def _reserved(self, pod: Pod, node: int) -> bool:
        """Let plugins take what an assumed pod needs beside its requests; back off if one won't."""
        points = self._hooks.points
        if points.reserve(pod, node, self._view) is not None:
            self.state.remove_pod(pod.row)
            self.queue.back_off(pod.row, self.now_us)
            return False
        points.post_bind(pod, node, self._view)  # bound at once: there is nothing to wait for
        return True

    def _refused(self, index: int, pod: Pod, placement: Placement) -> None:
        queue, verdict = self.queue, placement.verdict[index]
        if verdict == Verdict.DEFER:
            queue.back_off(pod.row, self.now_us, max(placement.until_us[index], self.now_us + 1))
        elif verdict == Verdict.DROP:
            queue.leave(pod.row, self.now_us)
        elif index in placement.nominations:
            # its victims go at once, so all that is left to wait for is the backoff
            self._nominations.put(pod, placement.nominations[index])
            if self.backoff:
                queue.back_off(pod.row, self.now_us)
            else:
                queue.add(pod.row, _FIRST)
        else:
            if index in placement.withdrawn:
                self._nominations.drop(pod.row)
            queue.park(pod.row, self.now_us)

    def _evict(self, placement: Placement) -> None:
        for eviction in placement.evictions:
            if eviction.pod in self.state.node_of:
                self.preempted += 1
                self.delete(eviction.pod)
