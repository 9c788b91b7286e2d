"""The Job controller: runs pods to their end until enough have succeeded.

`completions` logical replicas, at most `parallelism` at once; a pod that fails or goes away is
replaced under its ordinal, until `backoffLimit` failures end the Job. A Job without `completions`
(a work queue) is done when one pod has succeeded and all have ended, as upstream has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schedlab.api.objects import Job, JobStatus
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.controllers.base import Replicas, WorkQueue, owner_key
from schedlab.controlplane.etcd import Op, Phase, Stored
from schedlab.controlplane.pod_factory import PodFactory
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar


@dataclass(slots=True)
class _Run:
    stored: Stored
    replicas: Replicas = field(default_factory=Replicas)
    succeeded: set[int] = field(default_factory=set)  # ordinals
    failures: int = 0
    reported: tuple[int, int, int] = (0, 0, 0)
    reporting: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """What the controller adds to the labels of the pods."""
        name, uid = self.stored.object.metadata.name, str(self.stored.uid)
        return {
            "batch.kubernetes.io/job-name": name,
            "job-name": name,
            "batch.kubernetes.io/controller-uid": uid,
            "controller-uid": uid,
        }


class JobController:
    """Runs every Job to its end."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        factory: PodFactory,
        config: ControlPlaneConfig,
        draws: Draws,
    ) -> None:
        self._api = api
        self._pods = pods
        self._factory = factory
        self._runs: dict[str, _Run] = {}
        self._work = WorkQueue(
            "job controller",
            calendar=calendar,
            config=config.controllers,
            draws=draws,
            reconcile=self._reconcile,
        )
        watch = api.watch("job controller", parse_distribution(config.watch.controllers))
        api.watch_objects(watch, "Job", self._on_job)
        api.watch_pods(watch, Op.CREATE, self._on_created, "Job")
        api.watch_pods(watch, Op.FINISH, self._on_finish, "Job")
        api.watch_pods(watch, Op.TERMINATE, self._on_gone, "Job")
        api.watch_pods(watch, Op.DELETE, self._on_gone, "Job")

    def _on_job(self, stored: Stored) -> None:
        key = stored.object.key
        if stored.deleted:
            self._runs.pop(key, None)
            return
        known = self._runs.get(key)
        if known is None:
            self._runs[key] = _Run(stored)
        elif stored.revision > known.stored.revision:
            known.stored = stored
        self._work.add(key)

    def _find(self, pod: int) -> tuple[str, _Run | None]:
        key = owner_key(self._pods, pod)
        return key, self._runs.get(key)

    def _on_created(self, pod: int, _: int) -> None:
        key, run = self._find(pod)
        if run is not None:
            run.replicas.pace.answered(more=self._wanted(run) > 0)
            self._work.add(key)

    def _on_finish(self, pod: int, phase: int) -> None:
        self._end(pod, succeeded=phase == Phase.SUCCEEDED)

    def _on_gone(self, pod: int, _: int) -> None:
        self._end(pod, succeeded=False)  # deleted or evicted before its end: it has failed

    def _end(self, pod: int, *, succeeded: bool) -> None:
        key, run = self._find(pod)
        ordinal = self._pods.replica[pod]
        if run is None or not run.replicas.lose(pod, ordinal):
            return
        if succeeded:
            run.succeeded.add(ordinal)
        else:
            run.failures += 1
        self._work.add(key)

    def _wanted(self, run: _Run) -> int:
        """Return how many pods should be created now."""
        spec = _job(run.stored).spec
        if run.failures > (6 if spec.backoff_limit is None else spec.backoff_limit):
            return 0
        parallelism = 1 if spec.parallelism is None else spec.parallelism
        active = len(run.replicas.pod_of)
        if spec.completions is None and spec.parallelism is not None:
            return 0 if run.succeeded else parallelism - active
        completions = 1 if spec.completions is None else spec.completions
        return min(parallelism, completions - len(run.succeeded)) - active

    def _reconcile(self, key: str) -> None:
        run = self._runs.get(key)
        if run is None:
            return
        job = _job(run.stored)
        limit = 6 if job.spec.backoff_limit is None else job.spec.backoff_limit
        if run.failures > limit:
            for pod in list(run.replicas.pod_of.values()):
                self._api.terminate_pod(pod, self._work.send_at())
        if not job.spec.suspend:
            self._create(run, job)
        self._report(run, job)

    def _create(self, run: _Run, job: Job) -> None:
        labels = run.labels

        def make(ordinal: int, past: int) -> int:
            return self._factory.make(
                job.spec.template,
                namespace=job.metadata.namespace or "default",
                owner=f"Job/{job.metadata.name}",
                item=run.stored.item,
                ordinal=ordinal,
                past=past,
                labels=labels,
            )

        for pod in run.replicas.create(self._wanted(run), run.succeeded, make):
            self._api.create_pod(pod, self._work.send_at())

    def _report(self, run: _Run, job: Job) -> None:
        now = (len(run.replicas.pod_of), len(run.succeeded), run.failures)
        if now == run.reported or run.reporting:
            return
        run.reporting = True
        status = JobStatus(active=now[0], succeeded=now[1], failed=now[2])
        changed = job.model_copy(update={"status": status})

        def answered(stored: Stored | None) -> None:
            run.reporting = False
            if stored is not None:  # else somebody else wrote it: the watch will tell
                run.stored, run.reported = stored, now
                self._work.add(stored.object.key)

        self._api.update(changed, run.stored.revision, self._work.send_at(), answered)


def _job(stored: Stored) -> Job:
    if not isinstance(stored.object, Job):
        raise TypeError(f"a {stored.object.kind} is no Job")
    return stored.object
