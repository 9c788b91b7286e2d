"""The users of the cluster: they send the workload's requests at their times.

Bare pods are admitted one at a time, so that the calendar stays short; a pod of a closed loop is
sent when the one before it has ended and its user has thought. Users have no rate limit: a trace
says when its requests came.
"""

from __future__ import annotations

import numpy as np

from schedlab.api.objects import (
    Deployment,
    Job,
    Node,
    Pod,
    PodTemplate,
    PriorityClass,
    ReplicaSet,
)
from schedlab.cluster.devices import device_index
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.admission import Admission
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.etcd import Op
from schedlab.errors import InputError
from schedlab.rng import Draws, entity_key
from schedlab.sim.distributions import Constant
from schedlab.sim.event_calendar import Calendar, Priority
from schedlab.workload.stream import ObjectWrite, Workload


class Submitter:
    """Sends the requests of a workload.

    Parameters
    ----------
    workload : Workload
        Bare pods and object writes.
    admission : Admission
        Turns templates into classes; everything is admitted before the run begins, so that bad
        input is found at once.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        admission: Admission,
        draws: Draws,
    ) -> None:
        self._calendar = calendar
        self._api = api
        self._pods = pods
        self._admission = admission
        self._draws = draws
        self._workload = workload
        self._next_pod = 0
        self._next_object = 0
        self._pod_id = calendar.register("submitter", "create pod", self._send_pod)
        self._chained_id = calendar.register("submitter", "create chained pod", self._create)
        self._delete_id = calendar.register("submitter", "delete pod", self._delete)
        self._object_id = calendar.register("submitter", "write object", self._send_object)
        self._updated: dict[int, int] = {}  # update of a pod -> its class from then on
        self._prepare_names()
        self._first_row = self._prepare_pods()
        self._manifest_pods = self._prepare_objects()
        self._timed = int((workload.pods.after < 0).sum())
        self._followers = self._chain()
        self._time_us = workload.pods.time_us.tolist()
        self._delete_us = workload.pods.delete_us.tolist()
        if self._followers:
            watch = api.watch("submitter", Constant(0))
            api.watch_pods(watch, Op.FINISH, self._on_end)
            api.watch_pods(watch, Op.DELETE, self._on_end)
        if self._timed:
            calendar.post(self._time_us[0], Priority.ARRIVAL, self._pod_id)
        if workload.objects:
            calendar.post(workload.objects[0].time_us, Priority.ARRIVAL, self._object_id)

    # --- before the run -------------------------------------------------------------------------

    def _prepare_names(self) -> None:
        """Make known what pods name: PriorityClasses and namespaces."""
        for write in self._workload.objects:
            found = write.object
            if write.operation == "create" and isinstance(found, PriorityClass):
                self._admission.add_priority_class(found)
            if write.operation == "create" and found.kind == "Namespace":
                self._admission.namespaces.add(found.metadata.name)

    def _prepare_pods(self) -> int:
        """Give every bare pod its row; return the first."""
        arrivals, pods = self._workload.pods, self._pods
        admitted = [
            self._admission.admit(t, t.metadata.namespace or "default", f"template {i}")
            for i, t in enumerate(self._workload.templates)
        ]
        spaces = [t.metadata.namespace or "default" for t in self._workload.templates]
        classes = np.array([a.pod_class.id for a in admitted], np.int32)
        templates = arrivals.template.tolist()
        duration = arrivals.duration_us.copy()
        ends = np.array([a.duration is not None for a in admitted], np.bool_)
        for i in np.flatnonzero(ends[arrivals.template] & (duration < 0)).tolist():
            found = admitted[templates[i]].duration
            if found is not None:
                draws = self._draws.stream("duration")
                duration[i] = found.quantile(draws.uniform(int(arrivals.key[i])))
        for i, template in enumerate(self._workload.templates):
            self._check_ends(template, bool((duration[arrivals.template == i] >= 0).any()), i)
        return pods.extend(
            [f"{spaces[t]}/{name}" for t, name in zip(templates, arrivals.name, strict=True)],
            pod_class=classes[arrivals.template] if len(classes) else arrivals.template,
            item=np.array([pods.items.add(item) for item in arrivals.item], np.int32),
            replica=arrivals.replica,
            key=arrivals.key,
            duration_us=duration,
            estimate_us=arrivals.estimated_duration_us,
        )

    @staticmethod
    def _check_ends(template: PodTemplate, ends: bool, number: int) -> None:
        if ends and template.spec.restart_policy not in ("Never", "OnFailure"):
            raise InputError(
                f"template {number}: spec.restartPolicy",
                found=template.spec.restart_policy or "Always",
                expected="Never or OnFailure, as pods of it have a duration",
            )

    def _prepare_objects(self) -> dict[str, int]:
        """Admit the templates of all objects; return the rows of pods that stand as objects."""
        rows: dict[str, int] = {}
        for write in self._workload.objects:
            found = write.object
            if write.operation == "delete" and isinstance(found, Node):
                raise InputError(
                    f"Node/{found.key}", found="<a deletion>", expected="nodes that stay"
                )
        for number, write in enumerate(self._workload.objects):
            if write.operation == "create":
                self._admit(write, rows)
            elif write.operation == "update":
                self._admit_update(number, write, rows)
        return rows

    def _admit_update(self, number: int, write: ObjectWrite, rows: dict[str, int]) -> None:
        """Check what an update changes; a pod becomes one of another class."""
        found = write.object
        where = f"{found.kind}/{found.metadata.name}"
        self._admission.check(found)
        if isinstance(found, Deployment | ReplicaSet | Job):
            raise InputError(
                where, found="<an update>", expected="controllers that stay as they are"
            )
        if not isinstance(found, Pod):
            return
        if found.key not in rows:
            raise InputError(where, found="<an update>", expected="a pod that was created before")
        before = self._pods.class_of(rows[found.key])
        template = PodTemplate(metadata=found.metadata, spec=found.spec)
        space = found.metadata.namespace or "default"
        after = self._admission.admit(template, space, where).pod_class
        gates = after.spec.scheduling_gates
        same = before.spec == after.spec.model_copy(
            update={"scheduling_gates": before.spec.scheduling_gates}
        )
        if (
            not same
            or before.labels != after.labels
            or set(gates) - set(before.spec.scheduling_gates)
        ):
            raise InputError(
                where,
                found="<an update>",
                expected="fewer schedulingGates, and nothing else changed",
            )
        self._updated[number] = after.id

    def _admit(self, write: ObjectWrite, rows: dict[str, int]) -> None:
        found = write.object
        where = f"{found.kind}/{found.metadata.name}"
        space = found.metadata.namespace or "default"
        self._admission.check(found)
        if not isinstance(found, Pod):
            template = getattr(getattr(found, "spec", None), "template", None)
            if isinstance(template, PodTemplate):
                self._admission.admit(template, space, where)
            return
        if found.key in rows:
            raise InputError(where, found=found.key, expected="a pod name that is used once")
        template = PodTemplate(metadata=found.metadata, spec=found.spec)
        admitted = self._admission.admit(template, space, where)
        key, duration = entity_key(write.item, 0), -1
        if admitted.duration is not None:
            duration = admitted.duration.quantile(self._draws.stream("duration").uniform(key))
        row = rows[found.key] = self._pods.add(
            found.key,
            pod_class=admitted.pod_class.id,
            item=self._pods.items.add(write.item),
            replica=0,
            incarnation=0,
            key=key,
            duration_us=duration,
            estimate_us=admitted.estimate_us,
            owner=-1,
        )
        devices = device_index(found.metadata.annotations)
        if devices is not None and found.spec.node_name:
            self._pods.devices[row] = devices  # its author has chosen its node, and the GPUs there

    def _chain(self) -> dict[int, list[int]]:
        """Return the arrivals that each arrival sets off when it ends."""
        followers: dict[int, list[int]] = {}
        for index in np.flatnonzero(self._workload.pods.after >= 0).tolist():
            followers.setdefault(int(self._workload.pods.after[index]), []).append(index)
        return followers

    # --- during the run -------------------------------------------------------------------------

    def _send_pod(self, _: object) -> None:
        now, times = self._calendar.now_us, self._time_us
        index = self._next_pod
        while index < self._timed and times[index] <= now:
            self._create(index)
            index += 1
        self._next_pod = index
        if index < self._timed:
            self._calendar.post(times[index], Priority.ARRIVAL, self._pod_id)

    def _create(self, index: int) -> None:
        now, row = self._calendar.now_us, self._first_row + index
        self._api.create_pod(row, now)
        if self._delete_us[index] >= 0:
            at = max(now, self._delete_us[index])
            self._calendar.post(at, Priority.REMOVAL, self._delete_id, row)

    def _delete(self, row: int) -> None:
        self._api.terminate_pod(row, self._calendar.now_us)

    def _on_end(self, pod: int, _: int) -> None:
        for index in self._followers.pop(pod - self._first_row, ()):
            at = self._calendar.now_us + self._time_us[index]
            self._calendar.post(at, Priority.ARRIVAL, self._chained_id, index)

    def _send_object(self, _: object) -> None:
        now, writes = self._calendar.now_us, self._workload.objects
        index = self._next_object
        while index < len(writes) and writes[index].time_us <= now:
            self._write(index, writes[index])
            index += 1
        self._next_object = index
        if index < len(writes):
            self._calendar.post(writes[index].time_us, Priority.ARRIVAL, self._object_id)

    def _write(self, number: int, write: ObjectWrite) -> None:
        now, found = self._calendar.now_us, write.object
        if isinstance(found, Pod):
            row = self._manifest_pods[found.key]
            if write.operation == "create":
                self._api.create_pod(row, now)
            elif write.operation == "update":
                self._api.update_pod(row, self._updated[number], now)
            else:
                self._api.terminate_pod(row, now)
        elif write.operation == "create":
            self._api.create(found, now, origin=write.item)
        elif write.operation == "update":
            self._api.replace(found, now)
        else:
            self._api.delete(found, now)
