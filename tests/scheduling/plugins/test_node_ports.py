"""NodePorts by tables: read them to learn when two pods can't share a node.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/nodeports/node_ports_test
and pkg/scheduler/framework/types_test). Ports are written protocol/address:port.
"""

import numpy as np
import pytest

from schedlab.api.objects import Container, ContainerPort, PodSpec
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.classes import HostPort, host_ports
from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code, Cycle
from schedlab.scheduling.plugins.node_ports import REASON, NodePorts
from schedlab.testing import small_node

PLUGIN = NodePorts()


def port(text):
    """Return a container port from ``TCP/127.0.0.1:80``; protocol and address may be missing."""
    head, _, number = text.rpartition(":")
    protocol, _, ip = head.rpartition("/")
    return ContainerPort(
        container_port=int(number) or 8080,
        host_port=int(number),
        host_ip=ip,
        protocol=protocol or None,
    )


def spec(*containers, init=(), **fields):
    """Return the spec of a pod with one container per list of ports."""

    def made(kind, groups, policy=None):
        return tuple(
            Container(name=f"{kind}{i}", ports=tuple(map(port, ports)), restart_policy=policy)
            for i, ports in enumerate(groups)
        )

    restarting = made("sidecar", init, "Always")
    return PodSpec(containers=made("c", containers or ((),)), init_containers=restarting, **fields)


def cluster(*used):
    """Return a cluster in which node i runs a pod with each list of ports of *used*[i]."""
    state = ClusterState(ClassTable(ResourceNames()))
    number = 0
    for i, pods in enumerate(used):
        state.nodes.add(small_node(f"n{i}"))
        for ports in pods:
            state.add_pod(number, state.classes.intern("default", spec(ports), 0), i)
            number += 1
    return state


def codes(state, *ports):
    cycle = Cycle(state, state.classes.intern("default", spec(ports), 0))
    return PLUGIN.filter(cycle, cycle.rows()).tolist()


@pytest.mark.parametrize(
    ("used", "asked", "collides"),
    [
        pytest.param([], [], False, id="nothing asked of a free node"),
        pytest.param([":8080"], [], False, id="nothing asked"),
        pytest.param([], [":8080"], False, id="nothing used"),
        pytest.param([":8080"], [":9090"], False, id="another port"),
        pytest.param([":8080"], [":8080"], True, id="the same port"),
        pytest.param(["UDP/:8080"], ["TCP/:8080"], False, id="TCP and UDP don't meet"),
        pytest.param(["UDP/:8080"], ["UDP/:8080"], True, id="both UDP"),
        pytest.param(["SCTP/:8080"], ["SCTP/:8080"], True, id="both SCTP"),
        pytest.param([":8080"], ["TCP/:8080"], True, id="no protocol means TCP"),
        pytest.param([":8080"], ["UDP/:8080"], False, id="and not UDP"),
        pytest.param(["127.0.0.1:80"], ["127.0.0.1:80"], True, id="one address, one port"),
        pytest.param(["127.0.0.1:80"], ["127.0.0.1:81"], False, id="one address, two ports"),
        pytest.param(["127.0.0.1:80"], ["127.0.0.2:80"], False, id="two addresses, one port"),
        pytest.param(["127.0.0.1:80"], ["0.0.0.0:80"], True, id="0.0.0.0 asks for all addresses"),
        pytest.param(["0.0.0.0:80"], ["127.0.0.1:80"], True, id="0.0.0.0 has all addresses"),
        pytest.param([":80"], ["127.0.0.1:80"], True, id="no address means 0.0.0.0"),
        pytest.param(["127.0.0.1:80"], [":80"], True, id="on either side"),
        pytest.param([":80"], ["0.0.0.0:80"], True, id="both mean all"),
        pytest.param(["0.0.0.0:80"], ["127.0.0.1:81"], False, id="all addresses, another port"),
        pytest.param(
            ["UDP/127.0.0.1:80"], ["TCP/0.0.0.0:80"], False, id="all addresses, another protocol"
        ),
        pytest.param(
            ["TCP/10.0.10.10:5555", "TCP/0.0.0.0:9898"],
            ["TCP/10.0.10.10:5555"],
            True,
            id="one of several is the same",
        ),
        pytest.param(
            ["10.0.10.10:80"], ["10.0.10.11:80", "10.0.10.10:80"], True, id="the second one asked"
        ),
        pytest.param(
            ["10.0.10.10:80"], ["10.0.10.11:80", "10.0.10.12:80"], False, id="none of the asked"
        ),
        pytest.param(["::1:80"], ["::1:80"], True, id="IPv6 addresses are compared as they stand"),
        pytest.param(["0.0.0.0:80"], ["::1:80"], True, id="0.0.0.0 bars IPv6, too"),
        pytest.param(["0.0.0.0:80"], [":::80"], True, id="and the IPv6 address for all"),
        pytest.param([":::80"], ["::1:80"], False, id="which has no such meaning of its own"),
        pytest.param([":0"], [":0"], False, id="port 0 is none"),
        pytest.param([":8080"], [":8080", ":8080"], True, id="asked for twice"),
        pytest.param([":1", ":2", ":3"], [":4", ":5", ":6"], False, id="many and many"),
    ],
)
def test_ports_that_collide(used, asked, collides):
    state = cluster([used], [])
    assert codes(state, *asked) == [int(collides), 0]


def test_all_pods_of_a_node_count_and_only_they():
    state = cluster([[":80"], [":81"]], [[":82"]], [])
    assert codes(state, ":81") == [1, 0, 0]
    assert codes(state, ":82", ":80") == [1, 1, 0]


def test_rows_may_come_in_any_order():
    state = cluster([], [[":80"]], [])
    cycle = Cycle(state, state.classes.intern("default", spec([":80"]), 0))
    assert PLUGIN.filter(cycle, np.array([2, 1, 0])).tolist() == [0, 1, 0]
    assert PLUGIN.filter(cycle, np.array([1])).tolist() == [1]


def test_the_words_are_upstreams():
    state = cluster([[":80"]])
    cycle = Cycle(state, state.classes.intern("default", spec([":80"]), 0))
    assert PLUGIN.reasons(cycle, 0, 1) == (REASON,)
    assert PLUGIN.status(cycle, 0, 1) is Code.UNSCHEDULABLE  # the pod that has the port may go


@pytest.mark.parametrize(
    ("pod", "answer"),
    [
        pytest.param(spec(), SKIP, id="no ports"),
        pytest.param(spec([":0"]), SKIP, id="container ports only"),
        pytest.param(spec([":80"]), GO_ON, id="a host port"),
        pytest.param(spec([], init=([":80"],)), GO_ON, id="a sidecar's host port"),
        pytest.param(spec([":0"], host_network=True), GO_ON, id="a port on the host's network"),
    ],
)
def test_who_is_asked_at_all(pod, answer):
    state = cluster([])
    assert PLUGIN.pre_filter(Cycle(state, state.classes.intern("default", pod, 0))) == answer


# --- whose ports count (TestGetHostPorts)


@pytest.mark.parametrize(
    ("pod", "ports"),
    [
        pytest.param(spec([":80"], [":81"]), [80, 81], id="of all containers"),
        pytest.param(spec([":80"], init=([":81"],)), [81, 80], id="sidecars run for as long"),
        pytest.param(spec([":80"], [":80"]), [80], id="a port counts once"),
        pytest.param(spec([":0"]), [], id="a port of the container is not the host's"),
        pytest.param(spec([":0"], host_network=True), [8080], id="but on its network it is"),
        pytest.param(spec([":80"], host_network=True), [80], id="unless the host port is named"),
    ],
)
def test_host_ports(pod, ports):
    assert host_ports(pod) == tuple(HostPort("TCP", "0.0.0.0", number) for number in ports)


def test_init_containers_have_gone_when_the_pod_runs():
    init = Container(name="init", ports=(port(":81"),))
    pod = spec([":80"]).model_copy(update={"init_containers": (init,)})
    assert [taken.port for taken in host_ports(pod)] == [80]


# --- what is taken on a node moves with its pods


def test_a_port_is_free_again_when_its_pod_has_gone():
    state = cluster([[":80"]])
    state.remove_pod(0)
    assert codes(state, ":80") == [0]
    assert state.used_ports == {}


def test_a_port_of_two_pods_is_free_when_the_first_has_gone():
    # others may have put both there; kube-scheduler's set of ports doesn't count
    state = cluster([[":80"], [":80", ":81"]])
    state.remove_pod(0)
    assert codes(state, ":80") == [0]
    assert codes(state, ":81") == [1]
    state.add_pod(0, state.classes.intern("default", spec([":80"]), 0), 0)
    state.remove_pod(1)
    assert codes(state, ":80") == [0]


def test_a_trial_leaves_ports_as_they_were():
    state = cluster([[":80"], [":80"]], [])
    mark = state.mark()
    state.remove_pod(0)
    inner = state.mark()
    state.remove_pod(1)
    state.add_pod(0, state.classes.intern("default", spec([":80"]), 0), 1)
    assert codes(state, ":80") == [0, 1]
    state.undo(inner)
    assert codes(state, ":80") == [0, 0]  # still free: the first has gone
    state.undo(mark)
    assert codes(state, ":80") == [1, 0]
    state.remove_pod(0)  # outside of trials nothing is recorded
    assert codes(state, ":80") == [0, 0]
