"""One run: the components of a cluster around one clock, from the first request to the last end.

`Simulation` builds the components, which know each other only through the API server, runs the
calendar and returns what was recorded. It can be stepped event by event, for debugging and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import Namespace, PriorityClass
from schedlab.cluster.classes import ClassTable
from schedlab.cluster.invariants import violations
from schedlab.cluster.mix import Asked, memory_per_milli, mix_of
from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import CPU, MEMORY, ResourceNames, Vocabulary
from schedlab.controlplane import results
from schedlab.controlplane.admission import Admission, selected_labels
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.deployment import DeploymentController
from schedlab.controlplane.controllers.disruption import DisruptionController
from schedlab.controlplane.controllers.ephemeral_volume import EphemeralVolumeController
from schedlab.controlplane.controllers.garbage_collector import GarbageCollector
from schedlab.controlplane.controllers.job import JobController
from schedlab.controlplane.controllers.persistent_volume import PersistentVolumeController
from schedlab.controlplane.controllers.replicaset import ReplicaSetController
from schedlab.controlplane.kubelet import Kubelets
from schedlab.controlplane.pod_factory import PodFactory
from schedlab.controlplane.policy_hooks import served
from schedlab.controlplane.scheduler import VERDICTS, SchedulerComponent
from schedlab.controlplane.submitter import Submitter
from schedlab.errors import InputError
from schedlab.record.fragments import fragment_table
from schedlab.record.recorder import DecisionLog, RunRecord, SampleLog, to_numpy
from schedlab.rng import Draws
from schedlab.scheduling.base import Scheduler
from schedlab.sim.event_calendar import Calendar, Priority
from schedlab.units import MINUTE, format_duration
from schedlab.workload.stream import Cluster, Workload

Observer = Callable[["Simulation"], None]


class Simulation:
    """A cluster, a workload and its schedulers, ready to run.

    Parameters
    ----------
    cluster : Cluster
        Nodes and objects at time 0.
    workload : Workload
        What is asked of the cluster.
    schedulers : mapping of str to Scheduler
        Policies by ``schedulerName``.
    config : ControlPlaneConfig, optional
        Parameters of the control plane; the profile ``default`` when absent.
    seed : int, default 0
        Seed of every random draw of the run.
    until_us : int, optional
        When to stop; when absent the run ends once nothing can change any more.
    sample_period_us : int, default one minute
        Time between samples of the cluster.
    observer : callable, optional
        Called with the simulation at each sample, for progress.

    Raises
    ------
    InputError
        Something in the cluster or the workload can't be simulated.
    """

    def __init__(
        self,
        cluster: Cluster,
        workload: Workload,
        schedulers: Mapping[str, Scheduler],
        *,
        config: ControlPlaneConfig | None = None,
        seed: int = 0,
        until_us: int | None = None,
        sample_period_us: int = MINUTE,
        observer: Observer | None = None,
    ) -> None:
        config = ControlPlaneConfig() if config is None else config
        if not schedulers:
            raise InputError("schedulers", found="<none>", expected="at least one scheduler")
        if sample_period_us <= 0:
            raise InputError("sample_period", found=sample_period_us, expected="a time above zero")
        draws = Draws(seed)
        self.calendar = Calendar()
        self.pods = PodTable(ClassTable(ResourceNames()))
        self.truth = ClusterState(self.pods.classes, scored=False)
        for node in cluster.nodes:
            if node.metadata.name in self.truth.nodes.row_of:
                raise InputError(
                    f"Node/{node.metadata.name}", found="<it twice>", expected="unique node names"
                )
            self.truth.nodes.add(node)
        self.notes = list(workload.notes)
        for policy in schedulers.values():
            self.notes += [n for n in getattr(policy, "notes", ()) if n not in self.notes]
        self._cluster = cluster
        self._workload = workload
        self._until_us = until_us
        self._sample_period_us = sample_period_us
        self._observer = observer
        self._requests = np.zeros((0, 0), np.int64)
        self._by_size = np.zeros((0, 0), np.int64)
        self._decisions = DecisionLog()
        self._samples = SampleLog(self.truth.nodes)
        self._scheduler_names: Vocabulary[str] = Vocabulary(
            dict.fromkeys(
                wanted for name, policy in schedulers.items() for wanted in served(name, policy)
            )
        )
        self.api = ApiServer(
            self.calendar, self.pods, config, draws.stream("apiserver"), self.truth
        )
        admission = Admission(
            self.pods.classes,
            (item for item in cluster.objects if isinstance(item, PriorityClass)),
            (item.metadata.name for item in cluster.objects if isinstance(item, Namespace)),
        )
        self.api.preload((item, "") for item in (*cluster.nodes, *cluster.objects))
        self._build(admission, schedulers, config, draws)
        self._sample_id = self.calendar.register("recorder", "sample", self._sample)
        self.calendar.post_background(0, Priority.SAMPLE, self._sample_id)

    def _build(
        self,
        admission: Admission,
        schedulers: Mapping[str, Scheduler],
        config: ControlPlaneConfig,
        draws: Draws,
    ) -> None:
        calendar, api, pods = self.calendar, self.api, self.pods
        writes = (write.object for write in self._workload.objects)
        for found in (*self._cluster.objects, *writes, *self._workload.templates):
            pods.classes.mention(selected_labels(found))
        factory = PodFactory(pods, admission, draws.stream("pods"))
        controllers = draws.stream("controllers")
        self.submitter = Submitter(
            self._workload,
            calendar=calendar,
            api=api,
            pods=pods,
            admission=admission,
            draws=draws.stream("pods"),
        )
        DeploymentController(calendar=calendar, api=api, config=config, draws=controllers)
        for controller in (ReplicaSetController, JobController):
            controller(
                calendar=calendar,
                api=api,
                pods=pods,
                factory=factory,
                config=config,
                draws=controllers,
            )
        GarbageCollector(calendar=calendar, api=api, pods=pods, config=config, draws=controllers)
        self._build_if_needed(config, controllers)
        self.schedulers = [
            SchedulerComponent(
                name,
                policy,
                calendar=calendar,
                api=api,
                pods=pods,
                decisions=self._decisions,
                nodes=self._cluster.nodes,
                config=config,
                draws=draws.stream("scheduler"),
                alone=len(schedulers) == 1,
                numbers={name: n for n, name in enumerate(self._scheduler_names)},
            )
            for name, policy in schedulers.items()
        ]
        asked = self._asked()
        self._mix = self._workload.mix or mix_of(asked)
        for scheduler in self.schedulers:
            scheduler.state.mix = self._mix
            scheduler.state.memory_per_milli = memory_per_milli(asked)
        self.kubelets = Kubelets(
            calendar=calendar,
            api=api,
            pods=pods,
            nodes=self._cluster.nodes,
            config=config,
            draws=draws.stream("kubelet"),
        )

    def _build_if_needed(self, config: ControlPlaneConfig, draws: Draws) -> None:
        """Build the controllers that have nothing to do in most runs, and would only listen."""
        calendar, api, pods = self.calendar, self.api, self.pods
        writes = (write.object for write in self._workload.objects)
        kinds = {found.kind for found in (*self._cluster.objects, *writes)}
        ephemeral = any(
            volume.ephemeral is not None
            for pod_class in pods.classes
            for volume in pod_class.spec.volumes
        )
        if "PodDisruptionBudget" in kinds:
            DisruptionController(calendar=calendar, api=api, pods=pods, config=config, draws=draws)
        if ephemeral:
            EphemeralVolumeController(
                calendar=calendar, api=api, pods=pods, config=config, draws=draws
            )
        if ephemeral or kinds & {"PersistentVolumeClaim", "PersistentVolume"}:
            PersistentVolumeController(calendar=calendar, api=api, config=config, draws=draws)

    def _asked(self) -> list[Asked]:
        """Return what the pods ask for that are there before the run begins, by class."""
        numbers = np.bincount(to_numpy(self.pods.pod_class), minlength=len(self.pods.classes))
        return [
            (amounts.get(CPU, 0), amounts.get(MEMORY, 0), pod_class.devices, number)
            for pod_class, number in zip(self.pods.classes, numbers.tolist(), strict=True)
            for amounts in [dict(pod_class.requests)]
        ]

    # --- running --------------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        """Simulated time, microseconds."""
        return self.calendar.now_us

    @property
    def placed(self) -> int:
        """Pods bound so far."""
        return int((to_numpy(self.pods.bound_us) >= 0).sum())

    def step(self) -> bool:
        """Handle one event; return False when nothing can change any more."""
        return not self.calendar.idle and self.calendar.step()

    def run(self) -> RunRecord:
        """Run to the end and return what was recorded."""
        self.calendar.run(self._until_us)
        self._take_sample()
        return self.record()

    def violations(self) -> list[str]:
        """Return what is wrong with the state of the cluster: nothing, unless the model is."""
        alone = len(self.schedulers) == 1
        found = [f"etcd: {text}" for text in violations(self.truth, single_scheduler=alone)]
        found += [f"kubelets: {text}" for text in violations(self.kubelets.admitted)]
        for scheduler in self.schedulers:
            found += [
                f"scheduler {scheduler.name}: {text}"
                for text in violations(scheduler.state, single_scheduler=alone)
            ]
        return found

    def _sample(self, _: object) -> None:
        self.calendar.background_done(self._sample_id)
        self._take_sample()
        if not self.calendar.idle:
            at = self.calendar.now_us + self._sample_period_us
            self.calendar.post_background(at, Priority.SAMPLE, self._sample_id)
        if self._observer is not None:
            self._observer(self)

    def _take_sample(self) -> None:
        api = self.api
        queues = [scheduler.queue.counts for scheduler in self.schedulers]
        self._samples.take(
            self.calendar.now_us,
            (api.pending, len(self.truth.node_of), api.running),
            (
                sum(counts["active"] for counts in queues),
                sum(counts["backoff"] for counts in queues),
                sum(counts["unschedulable"] for counts in queues),
            ),
            self._typical_request(),
        )

    def _typical_request(self) -> NDArray[np.int64]:
        """Return the (lower) median request of the pods so far, per resource, int64 [R].

        Stranded capacity is measured by it. It is taken over classes weighted by their pods, which
        is a few hundred numbers instead of one per pod.
        """
        classes = self.pods.classes
        width, known = len(classes.resources), len(self._requests)
        if known < len(classes) or self._requests.shape[1] < width:
            table = np.zeros((len(classes), width), np.int64)
            table[:known, : self._requests.shape[1]] = self._requests
            for i in range(known, len(classes)):
                table[i] = classes[i].request_vector(width)
            self._requests = table
            self._by_size = np.argsort(table, axis=0, kind="stable")
        pods = np.bincount(to_numpy(self.pods.pod_class), minlength=len(classes))
        if not pods.any():
            return np.zeros(width, np.int64)
        passed = np.cumsum(pods[self._by_size], axis=0)
        middle = (passed * 2 >= passed[-1]).argmax(axis=0)
        columns = np.arange(width)
        return np.asarray(self._requests[self._by_size[middle, columns], columns], np.int64)

    def record(self) -> RunRecord:
        """Return what has been recorded so far."""
        pods, arrived = self.pods, np.flatnonzero(to_numpy(self.pods.stored_us) >= 0)
        nodes, reasons = self.truth.nodes, list(pods.reasons)
        schedulers = list(self._scheduler_names)
        notes = list(self.notes)
        orphans = results.without_scheduler(pods, arrived, schedulers)
        if orphans:
            notes.append(f"{orphans} pods name a scheduler that is not in this cluster: they wait")
        if self._until_us is not None:
            notes.append(f"stopped at {format_duration(self._until_us)}: later waits are censored")
        return RunRecord(
            tables={
                "pods": results.pods_table(pods, arrived, nodes.names),
                "nodes": results.nodes_table(nodes),
                "samples": self._samples.table(),
                "decisions": self._decisions.table(pods.names, nodes.names, schedulers, VERDICTS),
                "events": self.api.etcd.table(nodes.names, reasons),
                "fragments": fragment_table(pods, nodes, self._mix),
            },
            counts=results.counts(pods, arrived, self._workload.dropped),
            digest=results.digest(pods, self.api.etcd),
            end_us=self.calendar.now_us,
            notes=notes,
        )


def simulate(
    cluster: Cluster,
    workload: Workload,
    schedulers: Mapping[str, Scheduler],
    *,
    config: ControlPlaneConfig | None = None,
    seed: int = 0,
    until_us: int | None = None,
    sample_period_us: int = MINUTE,
    observer: Observer | None = None,
) -> RunRecord:
    """Run a workload on a cluster and return what was recorded; see `Simulation`."""
    simulation = Simulation(
        cluster,
        workload,
        schedulers,
        config=config,
        seed=seed,
        until_us=until_us,
        sample_period_us=sample_period_us,
        observer=observer,
    )
    return simulation.run()
