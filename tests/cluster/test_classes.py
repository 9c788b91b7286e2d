"""Which pods share a class, and which classes a form."""

import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import ResourceRequirements, Toleration
from schedlab.cluster.classes import ClassTable
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.testing.runs import pod_template

NOBODY = ("", "")
POD_LEVEL = ResourceRequirements(requests=Amounts(cpu=1_500))


def intern(table, cpu=1_000, *, space="default", priority=0, labels=None, owner=NOBODY, **spec):
    found = pod_template(cpu, **spec).spec
    return table.intern(space, found, priority, labels=labels, owner=owner)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"cpu": 2_000}, id="requests"),
        pytest.param({"overhead": Amounts(cpu=100)}, id="overhead"),
        pytest.param(
            {"resources": ResourceRequirements(requests=Amounts(cpu=1_500))},
            id="pod-level requests",
        ),
    ],
)
def test_classes_that_differ_in_what_they_ask_for_have_one_form(other):
    table = ClassTable(ResourceNames())
    one, two = intern(table), intern(table, **other)
    assert one.id != two.id
    assert one.requests != two.requests
    assert one.form == two.form


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"space": "batch"}, id="namespace"),
        pytest.param({"priority": 7}, id="priority"),
        pytest.param({"labels": {"app": "web"}}, id="labels"),
        pytest.param({"owner": ("ReplicaSet", "web")}, id="owner"),
        pytest.param({"node_selector": {"disk": "ssd"}}, id="node selector"),
        pytest.param({"tolerations": (Toleration(operator="Exists"),)}, id="tolerations"),
        pytest.param({"image": "app:2"}, id="image"),
        pytest.param({"host_network": True}, id="host network"),
    ],
)
def test_classes_that_differ_in_anything_else_have_forms_of_their_own(other):
    table = ClassTable(ResourceNames())
    assert intern(table).form != intern(table, **other).form


def test_devices_are_part_of_the_form():
    table = ClassTable(ResourceNames())
    spec = pod_template().spec
    asks = {"alibabacloud.com/gpu-milli": "500", "alibabacloud.com/gpu-count": "1"}
    shared = table.intern("default", spec, 0, annotations=asks)
    assert table.intern("default", spec, 0).form != shared.form
