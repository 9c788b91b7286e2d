"""The openb trace: the invented sample by hand, the real one against its known figures."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedlab.errors import InputError
from schedlab.rng import entity_key
from schedlab.units import DAY, SECOND
from schedlab.workload import (
    Cluster,
    TargetLoad,
    Workload,
    capacity,
    offered_load,
    read_openb_nodes,
    read_openb_pods,
)
from schedlab.workload.openb import GPU_COUNT, GPU_MILLI, GPU_MODEL, QOS

MIB = 2**20
PODS = "openb_pod_list_default.csv"
TIMED = [
    "cpu050",
    "cpu100",
    "cpu200",
    "default",
    "gpushare40",
    "gpushare60",
    "gpushare80",
    "gpuspec10",
    "gpuspec20",
    "gpuspec25",
]
STATIC = ["multigpu20", "multigpu30", "multigpu40"]


def template_of(workload: Workload, name: str) -> Any:
    return workload.templates[workload.pods.template[workload.pods.name.index(name)]]


def test_nodes_of_the_sample(sample: Path) -> None:
    nodes = read_openb_nodes(sample).nodes
    cpu_only, t4 = nodes[0], nodes[3]
    assert dict(cpu_only.status.allocatable) == {
        "cpu": 32_000,
        "memory": 131_072 * MIB,
        "pods": 1001,
    }
    assert GPU_MODEL not in cpu_only.metadata.labels
    assert t4.status.allocatable[GPU_MILLI] == 4000
    assert t4.metadata.labels[GPU_MODEL] == "T4"
    assert t4.metadata.labels[GPU_COUNT] == "4"
    assert (
        cpu_only.metadata.labels["schedlab.io/pool"],
        t4.metadata.labels["schedlab.io/pool"],
    ) == ("cpu", "t4")


def test_pods_of_the_sample(sample: Path) -> None:
    workload = read_openb_pods(sample / PODS)
    pods = workload.pods
    assert workload.name == "default"
    assert len(pods) == 11
    assert dict(workload.dropped) == {"never_scheduled": 1}
    assert pods.time_us[:2].tolist() == [0, 300 * SECOND]  # the first creation, at second 100, is 0
    assert pods.duration_us[1] == (86_400 - 402) * SECOND  # deletion - scheduled
    assert pods.key[1] == entity_key("openb", 1)
    assert pods.replica[-1] == 11
    assert (pods.estimated_duration_us == -1).all()
    notes = " ".join(workload.notes)
    assert "second 100" in notes
    assert "1 pods that failed" in notes


def test_requests_and_constraints_of_the_sample(sample: Path) -> None:
    workload = read_openb_pods(sample / PODS)
    share = template_of(workload, "openb-pod-0006")
    requests = share.spec.containers[0].resources.requests
    assert dict(requests) == {"cpu": 4000, "memory": 15_258 * MIB, GPU_MILLI: 220}
    assert share.metadata.labels == {QOS: "BE"}
    assert share.metadata.annotations == {
        GPU_COUNT: "1",
        GPU_MILLI: "220",
        GPU_MODEL: "V100M16|V100M32",
    }
    needed = share.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    (expression,) = needed.node_selector_terms[0].match_expressions
    assert (expression.key, expression.operator, expression.values) == (
        GPU_MODEL,
        "In",
        ("V100M16", "V100M32"),
    )
    whole = template_of(workload, "openb-pod-0005")
    assert whole.spec.containers[0].resources.requests[GPU_MILLI] == 8000
    assert whole.spec.affinity is None
    cpu_only = template_of(workload, "openb-pod-0004")  # its gpu_spec means nothing without a GPU
    assert cpu_only.spec.affinity is None
    assert GPU_MILLI not in cpu_only.spec.containers[0].resources.requests
    assert template_of(workload, "openb-pod-0003") is template_of(workload, "openb-pod-0004")


def test_a_list_without_times_is_static(sample: Path) -> None:
    path = sample / "openb_pod_list_multigpu20.csv"
    pods = read_openb_pods(path).pods
    assert pods.time_us.tolist() == [0] * 5
    assert pods.duration_us.tolist() == [-1] * 5
    for options in ({"time": "trace"}, {"time": "load", "target_load": 1.0}, {"target_load": 1.0}):
        with pytest.raises(InputError, match="no times"):
            read_openb_pods(path, **options)


def test_static_keeps_pods_that_were_never_scheduled(sample: Path) -> None:
    workload = read_openb_pods(sample / PODS, time="static")
    assert len(workload.pods) == 12
    assert dict(workload.dropped) == {}


@pytest.mark.parametrize("target", [0.5, 0.8, 1.1])
@pytest.mark.parametrize("counts", ["all_work", "peak"])
def test_load_of_the_sample(sample: Path, target: float, counts: Any) -> None:
    cluster = read_openb_nodes(sample)
    load = TargetLoad(value=target, resource=GPU_MILLI, counts=counts)
    workload = read_openb_pods(sample / PODS, target_load=load, cluster=cluster, copies=40)
    base = read_openb_pods(sample / PODS, copies=40)
    assert sorted(workload.pods.duration_us) == sorted(base.pods.duration_us)
    found = offered_load(workload, cluster, counts=counts)[GPU_MILLI]
    # one pod of 8 GPUs is a third of the cluster: a peak can't be met more finely
    assert found == pytest.approx(target, rel=0.01 if counts == "all_work" else 0.2)


def test_a_peak_below_the_largest_pod_is_refused(sample: Path) -> None:
    load = TargetLoad(value=0.2, resource=GPU_MILLI, counts="peak")
    with pytest.raises(InputError, match="at least"):  # 8 of 24 GPUs at any speed
        read_openb_pods(sample / PODS, target_load=load, cluster=read_openb_nodes(sample))


def test_copies_follow_one_another(sample: Path) -> None:
    one, two = read_openb_pods(sample / PODS), read_openb_pods(sample / PODS, copies=2)
    assert len(two.pods) == 2 * len(one.pods)
    assert two.dropped == {"never_scheduled": 2}
    assert len(set(two.pods.key.tolist())) == len(two.pods)
    assert two.pods.name.index("openb-pod-0000-copy1") >= len(one.pods) - 1
    span = one.pods.time_us[-1]
    assert two.pods.time_us.tolist() == sorted([*one.pods.time_us, *(one.pods.time_us + span)])


def test_load_needs_a_cluster(sample: Path) -> None:
    with pytest.raises(InputError, match="a cluster"):
        read_openb_pods(sample / PODS, target_load=0.5)


HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)
GOOD = "p0,1000,1024,1,500,,LS,Running,0,100,10\n"
BROKEN_PODS = [
    pytest.param(
        HEADER + GOOD + "p1,1000,1024,1,500,,LS,Running,50,40,60\n",
        "row 3: deletion_time",
        40,
        "scheduled_time 60",
        id="end before start",
    ),
    pytest.param(
        HEADER + GOOD + "p1,1000,1024,1,500,,LS,Pending,50,40,\n",
        "row 3: deletion_time",
        40,
        "creation_time 50",
        id="end before creation",
    ),
    pytest.param(
        HEADER + "p1,1000,1024,1,500,,LS,Running,50,90,40\n",
        "row 2: scheduled_time",
        40,
        "creation_time 50",
        id="scheduled before created",
    ),
    pytest.param(
        HEADER + GOOD + "p1,NaN,1024,1,500,,LS,Running,0,1,0\n",
        "row 3: cpu_milli",
        "NaN",
        "an integer >= 0",
        id="NaN size",
    ),
    pytest.param(
        HEADER + "p1,1000,,1,500,,LS,Running,0,1,0\n",
        "row 2: memory_mib",
        "",
        "an integer >= 0",
        id="empty size",
    ),
    pytest.param(
        HEADER + "p1,-5,1024,1,500,,LS,Running,0,1,0\n",
        "row 2: cpu_milli",
        "-5",
        "an integer >= 0",
        id="negative size",
    ),
    pytest.param(
        HEADER + "p1,1e99,1024,1,500,,LS,Running,0,1,0\n",
        "row 2: cpu_milli",
        "1e99",
        "an integer >= 0",
        id="absurd size",
    ),
    pytest.param(
        HEADER + GOOD + GOOD, "row 3: name", "p0", "unique names (row 2", id="duplicate name"
    ),
    pytest.param(
        HEADER.replace("cpu_milli,", "") + GOOD,
        "row 1",
        None,
        "the column cpu_milli",
        id="column missing",
    ),
    pytest.param(
        HEADER.replace(",deletion_time", "") + GOOD,
        "row 1",
        None,
        "the column deletion_time",
        id="time column missing",
    ),
    pytest.param(
        HEADER.replace("qos", "qso") + GOOD, "row 1: column", "qso", "qos", id="unknown column"
    ),
    pytest.param(HEADER.replace("qos", "name") + GOOD, "row 1", "name", "once", id="column twice"),
    pytest.param(HEADER + "p1,1\n", "row 2", None, "11 cells", id="short row"),
    pytest.param(
        HEADER + GOOD.replace(",1,500", ",1,1500"),
        "row 2: gpu_milli",
        1500,
        "1 to 1000",
        id="more than a GPU",
    ),
    pytest.param(
        HEADER + GOOD.replace(",1,500", ",2,500"), "row 2: gpu_milli", 500, "1000", id="two halves"
    ),
    pytest.param(
        HEADER + GOOD.replace(",1,500", ",0,500"),
        "row 2: gpu_milli",
        500,
        "num_gpu is 0",
        id="share of nothing",
    ),
    pytest.param("", "row 1", [], "a header", id="empty file"),
]


@pytest.mark.parametrize(("text", "field", "found", "words"), BROKEN_PODS)
def test_broken_pod_lists(tmp_path: Path, text: str, field: str, found: object, words: str) -> None:
    path = tmp_path / "pods.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_openb_pods(path)
    error = caught.value
    assert (error.field.rstrip("."), error.file) == (field, str(path))
    assert words in str(error)
    if found is not None:
        assert error.found == found


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param("sn,cpu_milli,memory_mib,gpu\n", "row 1", id="column missing"),
        pytest.param(
            "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,2,\n", "row 2: model", id="no model"
        ),
        pytest.param(
            "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,T4\n", "row 2: model", id="no GPU"
        ),
        pytest.param("sn,cpu_milli,memory_mib,gpu,model\nn,x,1,0,\n", "row 2: cpu_milli", id="cpu"),
        pytest.param(
            "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,\nn,1,1,0,\n", "row 3: sn", id="twice"
        ),
    ],
)
def test_broken_node_lists(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_openb_nodes(path)
    assert (caught.value.field, caught.value.file) == (field, str(path))


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="schedlab fetch openb"):
        read_openb_pods(tmp_path / PODS)


def test_numbers_that_spreadsheets_write_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text(HEADER + GOOD.replace("0,100,10", "0.0,100.0,10.0"))
    assert read_openb_pods(path).pods.duration_us.tolist() == [90 * SECOND]


def test_a_pod_without_end_runs_until_deleted(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text(HEADER + GOOD.replace("0,100,10", "0,,10"))
    assert read_openb_pods(path).pods.duration_us.tolist() == [-1]


@pytest.fixture(scope="module")
def real(openb: Path) -> Cluster:
    return read_openb_nodes(openb)


def test_real_nodes(openb: Path, real: Cluster) -> None:
    assert len(real.nodes) == 1523
    gpus = [n for n in real.nodes if GPU_MILLI in n.status.allocatable]
    assert len(gpus) == 1213
    assert capacity(real)[GPU_MILLI] == 6_212_000
    only_gpu = read_openb_nodes(openb / "openb_node_list_gpu_node.csv")
    assert len(only_gpu.nodes) == 1213
    assert capacity(only_gpu)[GPU_MILLI] == 6_212_000
    assert capacity(only_gpu)["cpu"] == 107_018_000


def test_real_pods_at_their_times_leave_the_cluster_empty(openb: Path, real: Cluster) -> None:
    workload = read_openb_pods(openb / PODS)
    assert len(workload.pods) + workload.dropped["never_scheduled"] == 8152
    assert workload.dropped == {"never_scheduled": 897}
    assert len(workload.templates) < 200
    assert round(workload.pods.time_us[-1] / DAY) == 149
    peak = offered_load(workload, real, counts="peak")
    assert round(peak["pods"] * 1001 * 1523) == 56
    assert peak[GPU_MILLI] == pytest.approx(0.0104, abs=0.0001)
    assert offered_load(workload, real)[GPU_MILLI] == pytest.approx(0.00231, abs=0.00001)


@pytest.mark.parametrize("target", [0.8, 0.95, 1.1])
def test_real_pods_offer_the_target_load(openb: Path, real: Cluster, target: float) -> None:
    workload = read_openb_pods(openb / PODS, target_load=target, cluster=real)
    assert offered_load(workload, real)[GPU_MILLI] == pytest.approx(target, rel=0.01)
    base = read_openb_pods(openb / PODS)
    assert sorted(workload.pods.duration_us.tolist()) == sorted(base.pods.duration_us.tolist())
    assert workload.pods.name[:50] == base.pods.name[:50]
    # what a reader must know: most of that work lies behind the last arrival
    assert any("most of the work lies behind" in note for note in workload.notes)


def test_real_pods_reach_a_peak_only_with_copies(openb: Path, real: Cluster) -> None:
    load = TargetLoad(value=0.95, resource=GPU_MILLI, counts="peak")
    with pytest.raises(InputError, match=r"at most 0\.883"):
        read_openb_pods(openb / PODS, target_load=load, cluster=real)
    workload = read_openb_pods(openb / PODS, target_load=load, cluster=real, copies=2)
    assert offered_load(workload, real, counts="peak")[GPU_MILLI] == pytest.approx(0.95, rel=0.01)


@pytest.mark.parametrize("name", TIMED + STATIC)
def test_all_real_lists_are_read(openb: Path, name: str) -> None:
    workload = read_openb_pods(openb / f"openb_pod_list_{name}.csv")
    assert len(workload.pods) > 6000
    assert (name in STATIC) == bool((workload.pods.duration_us == -1).all())
    constrained = [t for t in workload.templates if t.spec.affinity is not None]
    assert bool(constrained) == name.startswith("gpuspec")


def test_reading_is_deterministic(openb: Path, real: Cluster) -> None:
    def digest() -> str:
        pods = read_openb_pods(openb / PODS, target_load=0.95, cluster=real).pods
        columns = (pods.time_us, pods.template, pods.duration_us, pods.key)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(c).tobytes() for c in columns)
        ).hexdigest()

    assert digest() == digest()
