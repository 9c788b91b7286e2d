"""Which pods a filter looks at: preemption tries all others by arrays alone."""

import pytest

from schedlab.api.objects import (
    Affinity,
    Container,
    ContainerPort,
    LabelSelector,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    TopologySpreadConstraint,
    Volume,
    WeightedPodAffinityTerm,
)
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.node_volume_limits import NodeVolumeLimits
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread
from schedlab.scheduling.plugins.volume_binding import VolumeBinding
from schedlab.scheduling.plugins.volume_restrictions import VolumeRestrictions
from schedlab.scheduling.plugins.volume_zone import VolumeZone
from schedlab.testing import small_node

PLUGINS = {
    plugin.name: plugin
    for plugin in (
        NodePorts(),
        PodTopologySpread(),
        InterPodAffinity(),
        VolumeRestrictions(),
        NodeVolumeLimits(),
        VolumeBinding(),
        VolumeZone(),
    )
}
B = LabelSelector(match_labels={"app": "b"})


def spread(when="DoNotSchedule"):
    constraint = TopologySpreadConstraint(
        max_skew=1, topology_key="zone", when_unsatisfiable=when, label_selector=B
    )
    return {"topology_spread_constraints": (constraint,)}


def term(selector=B, **fields):
    return PodAffinityTerm(topology_key="zone", label_selector=selector, **fields)


def near(**fields):
    terms = (term(**fields),)
    found = PodAffinity(required_during_scheduling_ignored_during_execution=terms)
    return {"affinity": Affinity(pod_affinity=found)}


def apart(*terms):
    found = PodAntiAffinity(required_during_scheduling_ignored_during_execution=terms)
    return {"affinity": Affinity(pod_anti_affinity=found)}


def rather_apart():
    weighted = (WeightedPodAffinityTerm(weight=1, pod_affinity_term=term()),)
    found = PodAntiAffinity(preferred_during_scheduling_ignored_during_execution=weighted)
    return {"affinity": Affinity(pod_anti_affinity=found)}


A_TOO = LabelSelector(match_labels={"app": "a"})
PORTS = {
    "containers": (Container(name="c", ports=(ContainerPort(container_port=1, host_port=1),)),)
}
VOLUMES = {"volumes": (Volume.model_validate({"name": "v", "emptyDir": {}}),)}


@pytest.mark.parametrize(
    ("name", "pod", "other", "labels", "moved"),
    [
        pytest.param("NodePorts", PORTS, PORTS, {}, True, id="a pod with host ports"),
        pytest.param("NodePorts", PORTS, {}, {}, False, id="one without"),
        pytest.param("PodTopologySpread", spread(), {}, {"app": "b"}, True, id="is counted"),
        pytest.param("PodTopologySpread", spread(), {}, {"app": "c"}, False, id="is not counted"),
        pytest.param(
            "PodTopologySpread",
            spread("ScheduleAnyway"),
            {},
            {"app": "b"},
            False,
            id="is counted, but only for the score",
        ),
        pytest.param("InterPodAffinity", near(), {}, {"app": "b"}, True, id="has to be near"),
        pytest.param("InterPodAffinity", near(), {}, {"app": "c"}, False, id="need not"),
        pytest.param(
            "InterPodAffinity", near(namespaces=("x",)), {}, {"app": "b"}, False, id="elsewhere"
        ),
        pytest.param("InterPodAffinity", apart(term()), {}, {"app": "b"}, True, id="must be away"),
        pytest.param("InterPodAffinity", apart(term()), {}, {"app": "c"}, False, id="need not be"),
        pytest.param(
            "InterPodAffinity", rather_apart(), {}, {"app": "b"}, False, id="is better away"
        ),
        pytest.param(
            "InterPodAffinity", {}, apart(term(A_TOO)), {}, True, id="wants the pod away itself"
        ),
        pytest.param(
            "InterPodAffinity", {}, apart(term()), {}, False, id="wants others away, not the pod"
        ),
        pytest.param("VolumeRestrictions", VOLUMES, VOLUMES, {}, True, id="may share a disk"),
        pytest.param("VolumeRestrictions", VOLUMES, {}, {}, False, id="has no disk to share"),
        pytest.param("NodeVolumeLimits", VOLUMES, VOLUMES, {}, True, id="may attach volumes"),
        pytest.param("NodeVolumeLimits", VOLUMES, {}, {}, False, id="attaches none"),
        pytest.param("VolumeBinding", VOLUMES, VOLUMES, {}, False, id="holds no free volume"),
        pytest.param("VolumeZone", VOLUMES, VOLUMES, {}, False, id="moves no zone"),
    ],
)
def test_who_matters(name, pod, other, labels, moved):
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node(labels={"zone": "z"}))
    plain = {"containers": (Container(name="c"),)}
    classes = [
        state.classes.intern("default", PodSpec(**{**plain, **fields}), 0, labels=own)
        for fields, own in ((pod, {"app": "a"}), (other, labels))
    ]
    assert PLUGINS[name].moved_by(Cycle(state, classes[0]), classes[1]) is moved
