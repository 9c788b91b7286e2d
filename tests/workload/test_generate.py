"""Generated workloads: objects, keys, common random numbers, estimates, target load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from schedlab.api.manifests import write_manifest
from schedlab.api.objects import Deployment, Job
from schedlab.errors import InputError
from schedlab.rng import entity_key
from schedlab.sim.distributions import Constant, Exponential
from schedlab.units import HOUR, MINUTE, SECOND
from schedlab.workload import Cluster, Workload, offered_load
from schedlab.workload.annotations import pod_duration, pod_estimate_us

Build = Callable[..., Workload]
PODS = """
- name: tasks
  kind: Pod
  arrivals: {process: poisson, rate: 600/h}
  requests: {cpu: {lognormal: {median: 400m, sigma: 0.9}}, memory: {choices: {1Gi: 3, 4Gi: 1}}}
  correlation: [{between: [cpu, duration], rank: 0.4}]
  duration: {lognormal: {median: 4m, sigma: 1}}
  estimated_duration: {noisy: {sigma: 0.5}}
"""
JOBS = """
- name: batch
  kind: Job
  arrivals: {process: mmpp, states: [{rate: 30/h, mean: 20m}, {rate: 300/h, mean: 4m}]}
  completions: {choices: {"1": 1, "4": 1}}
  requests: {cpu: {uniform: [1, 4]}}
  duration: {exponential: {mean: 5m}}
"""
WEB = """
- name: web
  kind: Deployment
  arrivals: {process: poisson, rate: 30/h}
  replicas: {choices: {"2": 1, "5": 1}}
  requests: {cpu: 500m, memory: {lognormal: {median: 1Gi, sigma: 0.5}}}
  duration: {uniform: [10m, 30m]}
"""


def objects(workload: Workload) -> list[Any]:
    """Return the objects that are created, of whatever kind the test expects."""
    return [write.object for write in workload.objects if write.operation == "create"]


def spec(*items: str, head: str = "horizon: 2h") -> str:
    return f"{head}\nitems:" + "".join(items)


def digest(workload: Workload, only: str | None = None) -> str:
    """Return a hash of everything in a workload, or of one item of it."""
    pods = workload.pods
    rows = [i for i, item in enumerate(pods.item) if only in (None, item)]
    parts: list[object] = []
    for column in fields(pods):
        if column.name == "template":
            parts.append([workload.templates[t].model_dump_json() for t in pods.template[rows]])
        else:
            values = getattr(pods, column.name)
            parts.append(
                [values[i] for i in rows] if isinstance(values, tuple) else values[rows].tolist()
            )
    for write in workload.objects:
        if only is None or write.item.startswith(only):
            parts.append([write.time_us, write.operation, write_manifest(write.object)])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def test_same_seed_same_bytes_another_seed_differs(build: Build) -> None:
    text = spec(PODS, JOBS, WEB)
    assert digest(build(text, 1)) == digest(build(text, 1))
    assert digest(build(text, 1)) != digest(build(text, 2))


@pytest.mark.parametrize("name", ["tasks", "batch", "web"])
def test_adding_an_item_changes_no_other(build: Build, name: str) -> None:
    alone = {"tasks": PODS, "batch": JOBS, "web": WEB}[name]
    assert digest(build(spec(alone)), name) == digest(build(spec(PODS, WEB, JOBS)), name)


def test_sizes_survive_another_horizon_and_load(build: Build, cluster: Cluster) -> None:
    base = build(spec(PODS))
    for head in ("horizon: 4h", "horizon: 2h\ntarget_load: {resource: cpu, value: 0.5}"):
        other = build(spec(PODS, head=head))
        n = min(len(base.pods), len(other.pods))
        assert base.pods.duration_us[:n].tolist() == other.pods.duration_us[:n].tolist()
        assert base.pods.key[:n].tolist() == other.pods.key[:n].tolist()


def test_bare_pods_fill_their_columns(build: Build) -> None:
    workload = build(spec(PODS))
    pods = workload.pods
    assert 1000 < len(pods) < 1400  # 1200 expected
    assert pods.name[0] == "tasks-0000"
    assert pods.key.tolist() == [entity_key("tasks", r) for r in pods.replica.tolist()]
    assert (pods.delete_us == -1).all()
    assert (np.diff(pods.time_us) >= 0).all()
    assert pods.time_us[-1] < 2 * HOUR
    assert len(workload.templates) == len(set(pods.template.tolist())) < 80
    template = workload.templates[0]
    assert template.metadata.labels["app"] == "tasks"
    assert template.spec.restart_policy == "Never"
    assert set(template.spec.containers[0].resources.requests) == {"cpu", "memory"}


def test_deployments_have_selector_replicas_and_lifetime(build: Build) -> None:
    workload = build(spec(WEB))
    created = {w.object.metadata.name: w for w in workload.objects if w.operation == "create"}
    deleted = {w.object.metadata.name: w for w in workload.objects if w.operation == "delete"}
    assert len(created) > 30
    assert created.keys() == deleted.keys()
    for name, write in created.items():
        found = write.object
        assert isinstance(found, Deployment)
        assert write.item == name
        assert found.spec.replicas in (2, 5)
        assert found.spec.selector.match_labels == {"app": name}
        assert found.spec.template.metadata.labels["app"] == name
        assert found.spec.template.spec.restart_policy == "Always"
        assert pod_duration(found.spec.template.metadata.annotations) is None
        assert 10 * MINUTE <= deleted[name].time_us - write.time_us <= 30 * MINUTE
    assert [w.time_us for w in workload.objects] == sorted(w.time_us for w in workload.objects)


def test_jobs_carry_the_distribution_of_their_pods(build: Build) -> None:
    for write in build(spec(JOBS)).objects:
        found = write.object
        assert isinstance(found, Job)
        assert found.spec.completions in (1, 4)
        assert found.spec.parallelism == found.spec.completions
        annotations = found.spec.template.metadata.annotations
        assert annotations["schedlab.io/duration"] == '{"exponential":{"mean":"5m"}}'
        assert pod_duration(annotations) == Exponential(5 * MINUTE)


def test_duration_per_job_is_one_duration_and_its_estimate(build: Build) -> None:
    text = spec(
        """
- name: batch
  kind: Job
  count: 300
  completions: 4
  parallelism: 2
  requests: {cpu: {uniform: [1, 9]}}
  duration: {lognormal: {median: 5m, sigma: 1}}
  duration_per: job
  correlation: [{between: [cpu, duration], rank: 0.8}]
  estimated_duration: {user_declared: {factor: 1.5, round: 10m}}
""",
        head="name: w",
    )
    drawn = []
    for found in objects(build(text)):
        annotations = found.spec.template.metadata.annotations
        duration = pod_duration(annotations)
        assert isinstance(duration, Constant)
        runs = duration.value
        estimate = pod_estimate_us(annotations)
        assert estimate % (10 * MINUTE) == 0
        assert 0 <= estimate - 1.5 * runs < 10 * MINUTE
        cpu = found.spec.template.spec.containers[0].resources.requests["cpu"]
        drawn.append((cpu, runs))
        assert (found.spec.completions, found.spec.parallelism) == (4, 2)
    rank = spearmanr(np.array(drawn)).statistic
    assert rank == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize(
    ("model", "check"),
    [
        pytest.param("none", lambda est, run: (est == -1).all(), id="none"),
        pytest.param("exact", lambda est, run: (est == run).all(), id="exact"),
        pytest.param(
            "{noisy: {sigma: 0.5}}",
            # the log of the factor is normal with deviation 0.5: mean 0 +- 4 x 0.5 / sqrt(n)
            lambda est, run: (
                abs(np.log(est / run).mean()) < 2 / np.sqrt(len(run))
                and abs(np.log(est / run).std() - 0.5) < 0.05
            ),
            id="noisy",
        ),
        pytest.param(
            "{user_declared: {factor: 3}}",
            lambda est, run: (np.abs(est - 3 * run) < 1).all(),
            id="declared",
        ),
    ],
)
def test_estimates(build: Build, model: str, check: Callable[..., bool]) -> None:
    pods = build(spec(PODS.replace("{noisy: {sigma: 0.5}}", model))).pods
    assert check(pods.estimated_duration_us, pods.duration_us)


def test_closed_loop_pods_are_chained(build: Build) -> None:
    pods = build(
        """
items:
- name: u
  kind: Pod
  count: 30
  arrivals: {process: closed_loop, users: 4, think_time: 10s}
  duration: 1m
- name: v
  kind: Pod
  count: 5
  arrivals: {process: at_once, at: 3s}
"""
    ).pods
    assert pods.name[:5] == tuple(f"v-{i:04d}" for i in range(5))  # at 3 s, before the first think
    for row in np.flatnonzero(pods.after >= 0).tolist():
        assert pods.item[row] == "u"
        assert pods.replica[pods.after[row]] == pods.replica[row] - 4


def test_pods_say_what_kubernetes_needs(build: Build) -> None:
    workload = build(
        """
priority_classes: [{name: high, value: 10}]
items:
- name: a
  kind: Pod
  namespace: team
  count: 2
  requests: {cpu: 0, nvidia.com/gpu: {choices: {"0": 1, "1": 1}}}
  priority_class: high
  scheduler_name: mine
  node_selector: {disk: ssd}
  labels: {app: other}
  annotations: {note: here}
  tolerations: [{key: gpu, operator: Exists}]
  pod_spec:
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: x, operator: Exists}]}]
""",
        seed=3,
    )
    assert [(w.time_us, w.object.kind, w.object.metadata.name) for w in workload.objects] == [
        (0, "Namespace", "team"),
        (0, "PriorityClass", "high"),
    ]
    requests = [dict(t.spec.containers[0].resources.requests) for t in workload.templates]
    limits = [dict(t.spec.containers[0].resources.limits) for t in workload.templates]
    assert {"cpu": 0} in requests
    assert {"cpu": 0, "nvidia.com/gpu": 1} in requests
    assert {"nvidia.com/gpu": 1} in limits
    template = workload.templates[0]
    assert template.metadata.namespace == "team"
    assert template.metadata.labels["app"] == "other"
    assert template.metadata.annotations == {"note": "here"}
    assert template.spec.priority_class_name == "high"
    assert template.spec.scheduler_name == "mine"
    assert template.spec.node_selector == {"disk": "ssd"}
    assert template.spec.tolerations[0].operator == "Exists"
    assert template.spec.affinity is not None
    assert template.spec.affinity.node_affinity is not None


JOB = "- {name: j, kind: Job, count: 1, requests: {cpu: 1}, "
BAD = [
    pytest.param("- {name: a, kind: Pod, requests: {cpu: 1}}", "items[0].count", id="no count"),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, requests: {cpu: x}}",
        "items[0].requests.cpu",
        id="quantity",
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, requests: {cpu: -1}}",
        "items[0].requests.cpu",
        id="negative cpu",
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, requests: {pods: 1}}", "items[0].requests.pods", id="pods"
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, priority_class: nope}",
        "items[0].priority_class",
        id="priority",
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, pod_spec: {tolerations: []}}",
        "items[0].pod_spec.tolerations",
        id="own part",
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, pod_spec: {nodename: b}}",
        "items[0].pod_spec.nodename",
        id="unknown part",
    ),
    pytest.param(
        "- {name: a, kind: Pod, count: 1, estimated_duration: exact}",
        "items[0].estimated_duration",
        id="estimate of nothing",
    ),
    pytest.param(
        JOB + "duration: {exponential: {mean: 1m}}, estimated_duration: exact}",
        "items[0].estimated_duration",
        id="estimate per pod",
    ),
    pytest.param(
        JOB + "duration: {uniform: [1, 2], max: 3}}", "items[0].duration.max", id="bounds per pod"
    ),
    pytest.param(JOB + "completions: 0}", "items[0].completions", id="no completions"),
    pytest.param(
        JOB + "correlation: [{between: [cpu, duration], rank: 0.1}], duration: 1s}",
        "items[0].correlation[0].between",
        id="correlated per pod",
    ),
]


@pytest.mark.parametrize(("item", "field"), BAD)
def test_bad_items_name_the_field(build: Build, item: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        build(f"items:\n{item}")
    assert caught.value.field.rstrip(".") == field


def test_constant_duration_of_a_job_can_be_estimated(build: Build) -> None:
    text = "items:\n" + JOB + "duration: 90s, estimated_duration: exact}"
    (job,) = objects(build(text))
    annotations = job.spec.template.metadata.annotations
    assert annotations["schedlab.io/estimated-duration"] == "90s"
    assert pod_estimate_us(annotations) == 90 * SECOND


@pytest.mark.parametrize("value", [0.3, 0.95, 1.2])
@pytest.mark.parametrize("resource", ["cpu", "memory", "dominant"])
def test_target_load_is_reached(
    build: Build, cluster: Cluster, value: float, resource: str
) -> None:
    head = f"horizon: 10h\ntarget_load: {{resource: {resource}, value: {value}}}"
    workload = build(spec(PODS, JOBS, WEB, head=head))
    loads = offered_load(workload, cluster, window_us=10 * HOUR)
    found = max(loads.values()) if resource == "dominant" else loads[resource]
    assert found == pytest.approx(value, rel=0.01)
    assert any("inter-arrival times x" in note for note in workload.notes)


@pytest.mark.parametrize("counts", ["all_work", "within_window", "peak"])
def test_target_load_of_each_kind(build: Build, cluster: Cluster, counts: Any) -> None:
    head = f"horizon: 12h\ntarget_load: {{resource: cpu, value: 0.8, counts: {counts}}}"
    workload = build(spec(PODS, head=head))
    loads = offered_load(workload, cluster, window_us=12 * HOUR, counts=counts)
    assert loads["cpu"] == pytest.approx(0.8, rel=0.01)


def test_target_load_without_a_horizon_scales_the_count_that_is_given(
    build: Build, cluster: Cluster
) -> None:
    text = "target_load: {resource: cpu, value: 0.7}\nitems:" + PODS + "  count: 2000\n"
    workload = build(text)
    assert len(workload.pods) == 2000
    assert offered_load(workload, cluster)["cpu"] == pytest.approx(0.7, rel=0.01)


def test_target_load_leaves_what_has_no_rate(build: Build, cluster: Cluster) -> None:
    once = """
- name: once
  kind: Pod
  count: 10
  arrivals: {process: at_once, at: 1h}
  requests: {cpu: 2}
  duration: 1h
"""
    head = "horizon: 12h\ntarget_load: {resource: cpu, value: 0.9}"
    workload = build(spec(PODS.rstrip(), once, head=head))
    at = [
        t
        for t, item in zip(workload.pods.time_us, workload.pods.item, strict=True)
        if item == "once"
    ]
    assert at == [HOUR] * 10
    assert offered_load(workload, cluster, window_us=12 * HOUR)["cpu"] == pytest.approx(
        0.9, rel=0.01
    )


@pytest.mark.parametrize(
    ("head", "items", "field"),
    [
        pytest.param(
            "target_load: {value: 1}",
            ["\n- {name: a, kind: Pod, count: 1}"],
            "target_load",
            id="no rate",
        ),
        pytest.param(
            "horizon: 1h\ntarget_load: {value: 1, resource: nvidia.com/gpu}",
            [PODS],
            "target_load.resource",
            id="nobody asks",
        ),
        pytest.param(
            "horizon: 2h\ntarget_load: {value: 0.1, resource: cpu}",
            [
                PODS.rstrip(),
                "\n- {name: a, kind: Pod, count: 160, requests: {cpu: 1}, duration: 2h}",
            ],
            "target_load.value",
            id="fixed arrivals exceed it",
        ),
        pytest.param(
            "target_load: {value: 9, resource: cpu, counts: peak}",
            [PODS.rstrip() + "\n  count: 3\n"],
            "target_load.value",
            id="too few pods",
        ),
    ],
)
def test_loads_that_cannot_be_reached(
    build: Build, head: str, items: list[str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(spec(*items, head=head))
    assert caught.value.field == field


def test_an_item_that_never_arrives_is_nothing(build: Build, cluster: Cluster) -> None:
    text = spec(PODS, JOBS, head="horizon: 1ms")
    workload = build(text)
    assert (len(workload.pods), workload.objects) == (0, ())
    assert all(load == 0 for load in offered_load(workload, cluster).values())
