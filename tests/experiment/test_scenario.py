"""Reading a cluster with its pending pods, and what the API server makes of them."""

import gzip
import json
from pathlib import Path

import pytest
import yaml

from schedlab.api.objects import Node, PersistentVolume, Pod, Service
from schedlab.errors import InputError
from schedlab.experiment.scenario import make_scenario, read_scenario, time_us

GOLDEN = Path(__file__).parents[1] / "golden" / "kube-scheduler"
START = "2025-12-31T23:00:00Z"


def node(name="n0", **status):
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", **status}}}


def pod(name="a", *, on=None, metadata=None, status=None, **spec):
    return {
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"containers": [{"name": "c"}], **({"nodeName": on} if on else {}), **spec},
        **({"status": status} if status else {}),
    }


def scenario(*pods, nodes=("n0", "n1"), **more):
    return make_scenario({"nodes": [node(n) for n in nodes], "pods": list(pods), **more})


@pytest.mark.parametrize(
    ("running", "place"),
    [
        pytest.param(pod(on="n1"), {0: 1}, id="runs where it says"),
        pytest.param(pod(on="gone"), {}, id="on a node that is not there"),
        pytest.param(pod(on="n1", status={"phase": "Succeeded"}), {}, id="succeeded"),
        pytest.param(pod(on="n1", status={"phase": "Failed"}), {}, id="failed"),
        pytest.param(pod(on="n1", status={"phase": "Pending"}), {0: 1}, id="starting"),
        pytest.param(pod(), {}, id="pending"),
    ],
)
def test_where_pods_are(running, place):
    found = scenario(running)
    assert found.state.node_of == place
    assert found.state.names == ["default/a"]


@pytest.mark.parametrize(
    ("changes", "pending"),
    [
        pytest.param({}, (0,), id="without a node"),
        pytest.param({"on": "n0"}, (), id="with a node"),
        pytest.param({"on": "gone"}, (), id="with a node that is not there"),
        pytest.param({"status": {"phase": "Failed"}}, (), id="failed before it ran"),
        pytest.param({"schedulingGates": [{"name": "x"}]}, (0,), id="gated"),
        pytest.param({"metadata": {"deletionTimestamp": START}}, (0,), id="being deleted"),
    ],
)
def test_which_pods_are_pending(changes, pending):
    assert scenario(pod(**changes)).pending == pending


def test_times_are_those_of_the_status():
    found = scenario(
        pod("a", on="n0", status={"startTime": START}), pod("b", on="n0"), pod("c")
    ).state.start_us
    new_year = 1767225600 * 1_000_000  # date -ud 2026-01-01T00:00:00Z +%s
    assert list(found) == [new_year - 3_600_000_000, new_year, -1]


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.25Z", 1_250_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_time_us(text, us):
    assert time_us(text) == us


EVICTED = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]


@pytest.mark.parametrize(
    ("metadata", "status", "leaving", "preempted"),
    [
        pytest.param({}, {}, set(), set(), id="runs on"),
        pytest.param({"deletionTimestamp": START}, {}, {0}, set(), id="deleted by somebody"),
        pytest.param(
            {"deletionTimestamp": START}, {"conditions": EVICTED}, {0}, {0}, id="preempted"
        ),
        pytest.param(
            {}, {"conditions": EVICTED}, set(), set(), id="condemned, but not deleted yet"
        ),
        pytest.param(
            {"deletionTimestamp": START},
            {"conditions": [{**EVICTED[0], "reason": "EvictionByEvictionAPI"}]},
            {0},
            set(),
            id="drained",
        ),
    ],
)
def test_pods_that_are_being_deleted(metadata, status, leaving, preempted):
    state = scenario(pod(on="n0", metadata=metadata, status=status)).state
    assert (state.leaving, state.preempted) == (leaving, preempted)
    assert state.node_of == {0: 0}


def test_nominations():
    found = scenario(
        pod("a", status={"nominatedNodeName": "n1"}),
        pod("b", status={"nominatedNodeName": "gone"}),
        pod("c", on="n0", status={"nominatedNodeName": "n0"}),
    ).state.nominated
    assert {row: node for row, (node, _) in found.items()} == {0: 1}


def owned(kind, api_version="apps/v1", *, controller=True):
    owner = {"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u"}
    return {"ownerReferences": [{**owner, "controller": controller}]}


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        pytest.param({}, ("", ""), id="nobody"),
        pytest.param(owned("ReplicaSet"), ("ReplicaSet", "o"), id="replica set"),
        pytest.param(owned("StatefulSet"), ("StatefulSet", "o"), id="stateful set"),
        pytest.param(
            owned("ReplicationController", "v1"), ("ReplicationController", "o"), id="the old one"
        ),
        pytest.param(owned("ReplicationController"), ("", ""), id="of another group"),
        pytest.param(owned("Job", "batch/v1"), ("", ""), id="a kind that spreading ignores"),
        pytest.param(owned("ReplicaSet", controller=False), ("", ""), id="not its controller"),
    ],
)
def test_owners_that_default_spreading_follows(metadata, owner):
    assert scenario(pod(metadata=metadata)).classes[0].owner == owner


def test_labels_that_controllers_give_to_each_pod_are_kept():
    labels = {"apps.kubernetes.io/pod-index": "3", "app": "x"}
    assert scenario(pod(metadata={"labels": labels})).classes[0].labels == labels


def test_all_objects_are_there():
    found = scenario(
        pod(),
        services=[{"metadata": {"name": "web", "namespace": "prod"}, "spec": {"selector": {}}}],
        pvs=[{"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}}}],
        namespaces=[{"metadata": {"name": "prod", "labels": {"team": "x"}}}],
    ).state.objects
    assert found.get(Service, "web", "prod") is not None
    assert found.get(PersistentVolume, "v") is not None
    assert found.namespace_labels("prod") == {
        "kubernetes.io/metadata.name": "prod", "team": "x"
    }  # fmt: skip


CLASSES = [
    {"metadata": {"name": "low"}, "value": -10, "preemptionPolicy": "Never"},
    {"metadata": {"name": "usual"}, "value": 7, "globalDefault": True},
]


@pytest.mark.parametrize(
    ("classes", "spec", "priority", "policy"),
    [
        pytest.param([], {}, 0, "PreemptLowerPriority", id="nothing said"),
        pytest.param(CLASSES, {}, 7, "PreemptLowerPriority", id="the global default"),
        pytest.param(
            CLASSES, {"priorityClassName": "low"}, -10, "Never", id="a class and its policy"
        ),
        pytest.param(
            [],
            {"priorityClassName": "system-node-critical"},
            2_000_001_000,
            "PreemptLowerPriority",
            id="a class of the system",
        ),
        pytest.param(
            CLASSES,
            {"priorityClassName": "low", "preemptionPolicy": "Never"},
            -10,
            "Never",
            id="the policy of its class, repeated",
        ),
    ],
)
def test_priorities(classes, spec, priority, policy):
    found = scenario(pod(**spec), priorityclasses=classes).classes[0]
    assert (found.priority, found.spec.priority) == (priority, priority)
    assert found.spec.preemption_policy == policy


def test_what_an_api_server_has_resolved_stands():
    seen = {"priorityClassName": "gone", "priority": 33, "preemptionPolicy": "Never"}
    found = scenario(pod(metadata={"uid": "u"}, **seen)).classes[0]
    assert (found.priority, found.spec.preemption_policy) == (33, "Never")


def with_keys(keys, mismatch=(), expressions=()):
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "x"}, "matchExpressions": list(expressions)},
        "matchLabelKeys": list(keys),
        "mismatchLabelKeys": list(mismatch),
    }
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


IN = {"key": "hash", "operator": "In", "values": ["1"]}


@pytest.mark.parametrize(
    ("affinity", "conditions"),
    [
        pytest.param(with_keys([]), [], id="no keys"),
        pytest.param(with_keys(["hash"]), ["hash In 1"], id="match"),
        pytest.param(with_keys([], ["hash"]), ["hash NotIn 1"], id="mismatch"),
        pytest.param(with_keys(["hash"], ["app"]), ["hash In 1", "app NotIn x"], id="both"),
        pytest.param(with_keys(["gone"]), [], id="a key that the pod lacks"),
        pytest.param(with_keys(["hash"], (), [IN]), ["hash In 1"], id="merged before"),
    ],
)
def test_label_keys_become_conditions(affinity, conditions):
    found = scenario(pod(metadata={"labels": {"app": "x", "hash": "1"}}, affinity=affinity))
    near = found.classes[0].spec.affinity.pod_affinity
    term = near.required_during_scheduling_ignored_during_execution[0]
    assert [
        f"{c.key} {c.operator} {','.join(c.values)}" for c in term.label_selector.match_expressions
    ] == conditions


@pytest.mark.parametrize(
    ("selector", "conditions"),
    [
        pytest.param({"matchLabels": {"app": "x"}}, 1, id="with a selector"),
        pytest.param(None, None, id="without one it means nobody, key or not"),
    ],
)
def test_label_keys_of_spreading(selector, conditions):
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "matchLabelKeys": ["hash"],
        "labelSelector": selector,
    }
    labels = {"app": "x", "hash": "1"}
    found = scenario(pod(metadata={"labels": labels}, topologySpreadConstraints=[constraint]))
    merged = found.classes[0].spec.topology_spread_constraints[0].label_selector
    assert (None if merged is None else len(merged.match_expressions)) == conditions


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.admitted.json.gz")), ids=lambda p: p.name)
def test_pods_are_admitted_as_recorded(path):
    """The API server's own result goes through unchanged, and ours equals it."""
    ours = read_scenario(path.with_name(path.name.replace(".admitted", "")))
    with gzip.open(path, "rt") as file:
        documents = json.load(file)["pods"]
    theirs = read_scenario(path)
    assert ours.classes.keys() == theirs.classes.keys()
    for row, own in ours.classes.items():
        recorded = Pod.model_validate(documents[row], by_name=False).spec
        other = theirs.classes[row]
        assert own.priority == recorded.priority
        assert own.spec.preemption_policy == recorded.preemption_policy
        assert own.spec.affinity == recorded.affinity
        assert own.spec.resources == recorded.resources
        for a, b in zip(own.spec.containers, recorded.containers, strict=True):
            assert a.resources == b.resources
        assert (own.requests, own.nonzero) == (other.requests, other.nonzero)
        assert sorted(own.host_ports) == sorted(other.host_ports)


CONFIG = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
FORMS = {
    "plain.json": lambda c: json.dumps(c),
    "plain.yaml": lambda c: yaml.safe_dump(c),
    "list.json": lambda c: json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                *({"apiVersion": "v1", "kind": "Pod", **p} for p in c["pods"]),
                *({"apiVersion": "v1", "kind": "Node", **n} for n in c["nodes"]),
            ],
        }
    ),
    "stream.yaml": lambda c: yaml.safe_dump_all(
        [
            *({"apiVersion": "v1", "kind": "Node", **n} for n in c["nodes"]),
            CONFIG,
            {"apiVersion": "v1", "kind": "PodList", "items": c["pods"]},
        ]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_file(tmp_path, form):
    content = {"nodes": [node("n0"), node("n1")], "pods": [pod("a", on="n1"), pod("b")]}
    path = tmp_path / form
    path.write_text(FORMS[form](content))
    found = read_scenario(path)
    assert found.state.nodes.names == ["n0", "n1"]
    assert found.state.node_of == {0: 1}
    assert found.pending == (1,)
    assert found.folder == tmp_path
    assert found.config == (CONFIG if form == "stream.yaml" else None)


def test_a_packed_file_and_a_configuration_as_text(tmp_path):
    path = tmp_path / "s.json.gz"
    content = {"meta": {"order": "queue"}, "config": yaml.safe_dump(CONFIG), "pods": [pod()]}
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    found = read_scenario(path)
    assert (found.by_queue, found.config) == (True, CONFIG)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "s.json: expected nodes and pods, found nothing", id="empty"),
        pytest.param("{", "s.json: line 2: expected valid YAML", id="half a file"),
        pytest.param("[]", "s.json: line 1: expected a Kubernetes object", id="a list"),
        pytest.param("3", "s.json", id="a number"),
        pytest.param({"podz": []}, "podz: expected a key of a scenario", id="unknown key"),
        pytest.param({"nodes": {}}, "nodes: expected a list of objects", id="no list"),
        pytest.param({"nodes": [1]}, "nodes[0]: expected a Kubernetes object", id="no object"),
        pytest.param({"nodes": [{}]}, "nodes[0].Node: metadata", id="a node without a name"),
        pytest.param(
            {"pods": [{"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}}]},
            "pods[0].kind: expected Pod, found 'Node'",
            id="another kind",
        ),
        pytest.param(
            {"pods": [pod(), pod()]}, "Pod/default/a: metadata.name: expected each name once",
            id="a pod twice",
        ),
        pytest.param(
            {"nodes": [node(), node()]}, "Node/n0: metadata.name: expected each name once",
            id="a node twice",
        ),
        pytest.param(
            {"pods": [pod(containers=[])]}, "Pod/a: spec.containers: expected at least one entry",
            id="a pod without containers",
        ),
        pytest.param(
            {"nodes": [node(cpu="lots")]}, "Node/n0: status.allocatable.cpu: expected a quantity",
            id="no quantity",
        ),
        pytest.param(
            {"pods": [pod(on="n", status={"startTime": "yesterday"})]},
            "Pod/default/a: status.startTime: expected a time as 2026-01-01T00:00:00Z",
            id="no time",
        ),
        pytest.param(
            {"pods": [pod(on="n", status={"startTime": "2026-01-01"})]},
            "Pod/default/a: status.startTime: expected a time",
            id="a time without a zone",
        ),
        pytest.param(
            {"pods": [pod(priorityClassName="gone")]},
            "Pod/default/a: spec.priorityClassName: expected a PriorityClass of the cluster",
            id="no such priority class",
        ),
        pytest.param(
            {"pods": [pod(priorityClassName="low", preemptionPolicy="PreemptLowerPriority")],
             "priorityclasses": CLASSES},
            "Pod/default/a: spec.preemptionPolicy: expected Never",
            id="another policy than its class",
        ),
        pytest.param(
            {"pods": [pod(resourceClaims=[{"name": "c", "resourceClaimName": "x"}])]},
            "Pod/default/a: spec.resourceClaims: expected only what schedlab models",
            id="claims for devices",
        ),
        pytest.param(
            {"pods": [pod(runtimeClassName="gvisor")]},
            "Pod/default/a: spec.runtimeClassName",
            id="a runtime class that nobody has resolved",
        ),
        pytest.param(
            {"resourceslices": [{}]}, "resourceslices: expected nothing: devices are not modelled",
            id="devices",
        ),
        pytest.param({"meta": {"order": "random"}}, "meta.order: expected arrival", id="order"),
        pytest.param({"config": 3}, "config: expected a KubeSchedulerConfiguration", id="config"),
    ],
)  # fmt: skip
def test_bad_scenarios(tmp_path, content, message):
    path = tmp_path / "s.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    assert message in str(caught.value)
    assert caught.value.file == str(path)


def test_what_was_admitted_before_may_have_a_runtime_class():
    found = scenario(pod(metadata={"uid": "u"}, runtimeClassName="gvisor", overhead={"cpu": "1"}))
    assert dict(found.classes[0].requests)[0] == 1000


def test_devices_may_be_named_where_there_are_none():
    found = scenario(pod(), deviceclasses=[], resourceslices=None, resourceclaims=[])
    assert found.pending == (0,)
    assert isinstance(found.state.nodes.nodes[0], Node)
