"""What pods request, against the cases of component-helpers/resource/helpers_test.go."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Container,
    Node,
    Pod,
    PodSpec,
    PodStatus,
    ResourceRequirements,
)
from schedlab.api.requests import nonzero_requests, pod_requests
from schedlab.errors import InputError

MI = 2**20
GI = 2**30


def container(name: str = "", sidecar: bool = False, **requests: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"resources": {"requests": requests}}
    if name:
        made["name"] = name
    if sidecar:
        made["restartPolicy"] = "Always"
    return made


def spec(
    *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **more: Any
) -> PodSpec:
    return PodSpec.model_validate(
        {
            "containers": [{"name": f"c{i}", **c} for i, c in enumerate(containers)],
            "initContainers": [{"name": f"i{i}", **c} for i, c in enumerate(init)],
            **more,
        },
        by_name=False,
    )


CASES = [
    pytest.param(spec(container()), {}, id="nothing"),
    pytest.param(
        spec({"resources": {"limits": {"cpu": 9}}}), {}, id="a limit alone is no request here"
    ),
    pytest.param(
        spec(container(), overhead={"cpu": 5, "memory": 5}),
        {"cpu": 5000, "memory": 5},
        id="just overhead",
    ),
    pytest.param(
        spec(container(cpu=1, memory=10), overhead={"cpu": 5, "memory": 5}),
        {"cpu": 6000, "memory": 15},  # 1 + 5, 10 + 5
        id="request and overhead",
    ),
    pytest.param(
        spec(container(cpu=1, memory=5), container(cpu=4, memory=12)),
        {"cpu": 5000, "memory": 17},
        id="containers add up",
    ),
    pytest.param(spec(container(cpu=1), init=(container(cpu=4),)), {"cpu": 4000}, id="larger init"),
    pytest.param(
        spec(container(cpu=2), container(cpu=3), init=(container(cpu=2),)),
        {"cpu": 5000},
        id="larger containers",
    ),
    pytest.param(
        spec(
            container(cpu=1, memory=5),
            container(cpu=4, memory=12),
            init=(container(cpu=1, memory=5), container(cpu=40, memory=3)),
            overhead={"cpu": 3, "memory": 8},
        ),
        {"cpu": 43000, "memory": 25},  # max(5, 1, 40) + 3; max(17, 5, 3) + 8
        id="the largest moment per resource, and overhead",
    ),
    pytest.param(
        spec(container(cpu=1), init=(container(cpu=1, sidecar=True), container(cpu=1))),
        {"cpu": 2000},  # main + sidecar 2; sidecar + init 2
        id="a sidecar runs along",
    ),
    pytest.param(
        spec(container(cpu=1), init=(container(cpu=5), container(cpu=2, sidecar=True))),
        {"cpu": 5000},  # the first init runs before the sidecar: max(5, 2, 1 + 2)
        id="an init before the sidecar is alone",
    ),
    pytest.param(
        spec(container(cpu=1), init=(container(cpu=2, sidecar=True), container(cpu=5))),
        {"cpu": 7000},  # max(2 + 5, 1 + 2)
        id="an init after the sidecar is not",
    ),
    pytest.param(
        spec(
            container(cpu=1),
            init=(
                container(cpu=2, sidecar=True),
                container(cpu=5),
                container(cpu=3, sidecar=True),
                container(cpu=200),
            ),
        ),
        {"cpu": 205000},  # 2 + 3 + 200; with the main container 1 + 2 + 3
        id="sidecars so far and each init",
    ),
    pytest.param(
        spec(
            container(cpu=100),
            init=(
                container(cpu=10),
                container(cpu=2, sidecar=True),
                container(cpu=3, sidecar=True),
            ),
        ),
        {"cpu": 105000},  # 100 + 2 + 3
        id="large main container with sidecars",
    ),
    pytest.param(
        spec(container(cpu=1, memory="1Gi"), resources={"requests": {"cpu": 5}}),
        {"cpu": 5000, "memory": GI},
        id="pod level replaces what it names",
    ),
    pytest.param(
        spec(
            {"resources": {"requests": {"cpu": 1, "hugepages-2Mi": "4Mi", "nvidia.com/gpu": 1}}},
            overhead={"cpu": "250m"},
            resources={
                "requests": {"cpu": "500m", "hugepages-2Mi": "8Mi", "ephemeral-storage": "1Gi"}
            },
        ),
        # 500m + 250m of overhead; huge pages replaced; pod level counts no ephemeral storage
        {"cpu": 750, "hugepages-2Mi": 8 * MI, "nvidia.com/gpu": 1},
        id="pod level knows cpu, memory and huge pages, overhead comes on top",
    ),
    pytest.param(
        spec(container(cpu=1), init=(container(cpu=9),), resources={"requests": {"cpu": 2}}),
        {"cpu": 2000},
        id="pod level also replaces a large init",
    ),
    pytest.param(
        spec(container(cpu=1), resources={"limits": {"cpu": 7}}),
        {"cpu": 1000},
        id="a pod-level limit alone changes nothing (the API server defaults the request)",
    ),
    pytest.param(
        spec(container(cpu=0, memory="100Mi")),
        {"cpu": 0, "memory": 100 * MI},
        id="an explicit zero is named",
    ),
    pytest.param(
        spec(container(cpu="0.5m"), container(cpu="0.5m")),
        {"cpu": 2},  # the API server rounds each to 1m
        id="each container is rounded up",
    ),
]


@pytest.mark.parametrize(("pod", "expected"), CASES)
def test_pod_requests(pod: PodSpec, expected: dict[str, int]) -> None:
    assert pod_requests(pod) == expected


def resized(reason: str = "", **granted: dict[str, Any]) -> PodStatus:
    """Make a status whose containers have (allocated, running) requests."""
    return PodStatus.model_validate(
        {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
            "containerStatuses": [{"name": name, **state} for name, state in granted.items()],
        }
    )


RESIZED = [
    pytest.param(
        spec(container(cpu="10m", memory="30M")),
        resized(
            c0={
                "allocatedResources": {"cpu": "20m", "memory": "20M"},
                "resources": {"requests": {"cpu": "30m", "memory": "10M"}},
            }
        ),
        {"cpu": 30, "memory": 30_000_000},
        id="per resource the largest of three",
    ),
    pytest.param(
        spec(container(cpu=4)),
        resized("Infeasible", c0={"resources": {"requests": {"cpu": 2}}}),
        {"cpu": 2000},
        id="infeasible: what it has",
    ),
    pytest.param(
        spec(container(cpu=6)),
        resized(
            "Infeasible",
            c0={"allocatedResources": {"cpu": 4}, "resources": {"requests": {"cpu": 2}}},
        ),
        {"cpu": 4000},
        id="infeasible and in progress",
    ),
    pytest.param(
        spec(container(cpu=4)),
        resized("Deferred", c0={"resources": {"requests": {"cpu": 2}}}),
        {"cpu": 4000},
        id="deferred: the wish counts",
    ),
    pytest.param(
        spec(container(cpu=4)),
        resized("Infeasible", c0={"allocatedResources": {"cpu": 1}}),
        {"cpu": 4000},
        id="without running resources the status says nothing",
    ),
    pytest.param(
        spec(container(cpu=1), container(cpu=3)),
        resized(
            c0={"resources": {"requests": {"cpu": 2}}}, c1={"resources": {"requests": {"cpu": 1}}}
        ),
        {"cpu": 5000},  # max(1, 2) + max(3, 1), container by container
        id="container by container",
    ),
    pytest.param(
        spec(container(cpu=1), init=(container(cpu=5),)),
        resized("Infeasible", i0={"resources": {"requests": {"cpu": 9}}}),
        {"cpu": 5000},
        id="init containers that end are never resized",
    ),
]


@pytest.mark.parametrize(("pod", "status", "expected"), RESIZED)
def test_requests_while_resized(pod: PodSpec, status: PodStatus, expected: dict[str, int]) -> None:
    assert pod_requests(pod, status) == expected


NONZERO = [
    pytest.param(spec(container()), (100, 200 * MI), id="nothing"),
    pytest.param(spec(container(cpu=0, memory=0)), (0, 0), id="explicit zeros stay"),
    pytest.param(
        spec(container(cpu=1), container(memory="1Gi")),
        (1100, GI + 200 * MI),  # 1000 + 100; 200Mi + 1Gi
        id="per container and resource",
    ),
    pytest.param(
        spec(container(cpu=1, memory=1), init=(container(),)),
        (1000, 200 * MI),  # max(1000, 100); max(1, 200Mi)
        id="init containers too",
    ),
    pytest.param(
        spec(container(), overhead={"cpu": 1}), (1100, 200 * MI), id="overhead comes on top"
    ),
    pytest.param(
        spec(container(), container(), resources={"requests": {"memory": "14Gi"}}),
        (200, 14 * GI),  # cpu is named nowhere: 100 + 100
        id="pod level names memory only",
    ),
    pytest.param(
        spec(container(cpu=1), container(), resources={"requests": {"memory": "1Gi"}}),
        (1000, GI),  # some container names cpu, so none is assumed
        id="pod level, cpu named by a container",
    ),
]


@pytest.mark.parametrize(("pod", "expected"), NONZERO)
def test_nonzero_requests(pod: PodSpec, expected: tuple[int, int]) -> None:
    assert nonzero_requests(pod) == expected


def test_the_fit_score_leaves_pod_level_out() -> None:
    pod = spec(container(), container(), resources={"requests": {"memory": "14Gi"}})
    assert nonzero_requests(pod, pod_level=False) == (200, 400 * MI)


def test_a_sum_beyond_int64_is_an_error() -> None:
    half = str(2**62)
    with pytest.raises(InputError, match=r"requests\.memory: .*64-bit"):
        pod_requests(spec(container(memory=half), container(memory=half)))


sizes = st.dictionaries(st.sampled_from(["cpu", "memory", "a/b"]), st.integers(0, 1000), max_size=3)


@given(
    mains=st.lists(sizes, min_size=1, max_size=3), inits=st.lists(st.tuples(sizes, st.booleans()))
)
def test_requests_cover_every_moment(
    mains: list[dict[str, int]], inits: list[tuple[dict[str, int], bool]]
) -> None:
    """The request is the maximum over the moments of the pod's life, computed by playing it."""
    pod = PodSpec(
        containers=tuple(
            Container(name=f"c{i}", resources=ResourceRequirements(requests=Amounts(size)))
            for i, size in enumerate(mains)
        ),
        init_containers=tuple(
            Container(
                name=f"i{i}",
                resources=ResourceRequirements(requests=Amounts(size)),
                restart_policy="Always" if sidecar else None,
            )
            for i, (size, sidecar) in enumerate(inits)
        ),
    )
    moments: list[list[dict[str, int]]] = []
    sidecars: list[dict[str, int]] = []
    for size, sidecar in inits:
        moments.append([*sidecars, size])
        if sidecar:
            sidecars.append(size)
    moments.append([*sidecars, *mains])
    names = {name for moment in moments for size in moment for name in size}
    expected = {n: max(sum(size.get(n, 0) for size in moment) for moment in moments) for n in names}
    assert pod_requests(pod) == expected


def least_allocated(allocatable: Mapping[str, int], requested: tuple[int, int]) -> int:
    """Score as upstream: the free share of cpu and memory in percent, truncated, averaged."""
    shares = []
    for resource, wanted in zip(("cpu", "memory"), requested, strict=True):
        have = allocatable.get(resource, 0)
        if have:
            shares.append(0 if wanted > have else (have - wanted) * 100 // have)
    return sum(shares) // len(shares) if shares else 0


def test_replays_recorded_scores() -> None:
    """Every NodeResourcesFit score that the real kube-scheduler 1.35.4 gave in one scenario."""
    folder = Path(__file__).parents[1] / "golden/kube-scheduler/mixed"
    scenario = json.loads(gzip.decompress((folder / "0.admitted.json.gz").read_bytes()))
    nodes = {
        n["metadata"]["name"]: Node.model_validate(n, by_name=False) for n in scenario["nodes"]
    }
    pods = {}
    for document in scenario["pods"]:
        pod = Pod.model_validate(document, by_name=False)
        pods[pod.key] = pod
    used = {name: [0, 0] for name in nodes}

    def account(pod: Pod, node: str, sign: int = 1) -> None:
        for i, value in enumerate(nonzero_requests(pod.spec, pod.status)):
            used[node][i] += sign * value

    for pod in pods.values():
        if pod.spec.node_name in nodes and pod.status.phase not in ("Succeeded", "Failed"):
            account(pod, pod.spec.node_name)
    checked = 0
    for line in gzip.decompress((folder / "0.jsonl.gz").read_bytes()).splitlines():
        decision = json.loads(line)
        pod = pods[decision["pod"]]
        own = nonzero_requests(pod.spec, pod_level=False)
        scores = (decision.get("raw_scores") or {}).get("NodeResourcesFit", [])
        for node, score in zip(decision["feasible"] if scores else [], scores, strict=True):
            asked = (used[node][0] + own[0], used[node][1] + own[1])
            assert least_allocated(nodes[node].status.allocatable, asked) == score, (pod.key, node)
            checked += 1
        for victim in (decision.get("preemption") or {}).get("victims") or ():
            account(pods[victim["pod"]], decision["preemption"]["node"], sign=-1)
        if decision.get("chosen"):
            account(pod, decision["chosen"])
    assert checked > 1000
