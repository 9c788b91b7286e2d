"""The DLRM trace and the nodes of the spot GPU trace, by rows that are made up."""

import pytest

from schedlab.cluster.devices import GPU_COUNT, GPU_MILLI, GPU_MODEL
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.workload import ClusterSpec, WorkloadSpec, build_cluster, build_workload
from schedlab.workload.openb import read_openb_nodes, read_openb_pods

DLRM = """\
instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,\
memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,\
scheduled_time,deletion_time
instance_0,HN,app_0,12,12,1,1,25,25,120.5,120.5,640.0,800.0,8,,,
instance_1,CN,app_0,64,64,0,0,25,25,320.0,320.0,640.0,800.0,-1,,,300.4
instance_2,CN,app_1,48,48,0,0,25,25,240.0,240.0,640.0,800.0,-1,100.0000001,101.0,400.0
"""
SPOT = """\
gpu_model,gpu_capacity_num,cpu_num,node_name
A10,1,128,2
H800,8,192,3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "disaggregated_DLRM_trace.csv").write_text(DLRM)
    (tmp_path / "node_info_df.csv").write_text(SPOT)
    return tmp_path


def test_instances_become_pods(folder):
    workload = read_openb_pods(folder / "disaggregated_DLRM_trace.csv")
    pods = workload.pods
    assert pods.name == ("instance-0", "instance-1", "instance-2")
    assert pods.time_us.tolist() == [0, 0, 100_000_000]
    assert pods.duration_us.tolist() == [-1, 300_000_000, 299_000_000]
    host = workload.templates[pods.template[0]]
    requests = host.spec.containers[0].resources.requests
    assert requests["cpu"] == 12_000
    assert requests["memory"] == int(120.5 * 2**30)
    assert requests[GPU_MILLI] == 1_000
    assert host.metadata.annotations == {GPU_COUNT: "1", GPU_MILLI: "1000"}
    assert host.metadata.labels["alibabacloud.com/qos"] == "HN"


def test_nodes_have_the_gpus_that_the_list_says(folder):
    nodes = read_openb_nodes(folder / "node_info_df.csv").nodes
    assert [node.metadata.name for node in nodes] == ["spot-node-2", "spot-node-3"]
    assert nodes[1].metadata.labels[GPU_MODEL] == "H800"
    assert nodes[1].status.allocatable[GPU_MILLI] == 8_000
    assert nodes[1].status.allocatable["cpu"] == 192_000
    assert nodes[1].status.allocatable["memory"] == 192 * 4 * 2**30  # assumed: 4 GiB per CPU


def test_specs_name_them(folder):
    cluster = build_cluster(
        ClusterSpec.model_validate({"trace": {"spot2026": {"data": str(folder)}}}), Draws(0)
    )
    spec = {"trace": {"dlrm2025": {"data": str(folder), "time": "shuffled", "inflate": 0.5}}}
    workload = build_workload(WorkloadSpec.model_validate(spec), cluster, Draws(0))
    asked = sum(
        int(template.metadata.annotations.get(GPU_COUNT, 0))
        for template in (workload.templates[i] for i in workload.pods.template)
    )
    assert asked == 4  # half of 9 GPUs, rounded down


def test_a_trace_has_its_own_place(monkeypatch, tmp_path):
    from schedlab.workload.clusters import openb_file

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    places = [
        openb_file(None, name, None).parent.name
        for name in ("openb_pod_list_default.csv", "node_info_df.csv")
    ]
    assert places == ["openb", "spot2026"]


def test_two_traces_in_one_place_are_refused():
    with pytest.raises(ValueError, match="one trace"):
        ClusterSpec.model_validate({"trace": {"openb": {}, "spot2026": {}}})


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param("d", "HN,app_0", "XX,app_0", "row 2: role: expected CN or HN", id="role"),
        pytest.param("d", "120.5,120.5", "much,120.5", "row 2: memory_request", id="memory"),
        pytest.param("d", "instance_1", "instance_0", "unique names", id="a name twice"),
        pytest.param("d", "101.0,400.0", "101.0,99.0", "row 4: deletion_time", id="times"),
        pytest.param("s", "H800,8", "H800,0", "row 3: gpu_model", id="a model without GPUs"),
        pytest.param("s", "192,3", "192,2", "unique names", id="a node twice"),
    ],
)
def test_bad_cells_are_refused(folder, file, old, new, message):
    name = "disaggregated_DLRM_trace.csv" if file == "d" else "node_info_df.csv"
    path = folder / name
    path.write_text(path.read_text().replace(old, new))
    read = read_openb_pods if file == "d" else read_openb_nodes
    with pytest.raises(InputError, match=message):
        read(path)
