"""What the API server makes of resources that a pod states as a whole."""

import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import ResourceRequirements
from schedlab.cluster import ClassTable, ResourceNames
from schedlab.controlplane.admission import Admission
from schedlab.testing import pod_template

HUGE = "hugepages-2Mi"


def admitted(own, containers, limits=None):
    """Return the pod-level requests of an admitted pod, and what its class asks for."""
    template = pod_template(1)
    container = template.spec.containers[0]
    sized = ResourceRequirements(requests=Amounts(containers), limits=Amounts(limits or {}))
    container = container.model_copy(update={"resources": sized})
    spec = template.spec.model_copy(update={"containers": (container,), "resources": own})
    classes = ClassTable(ResourceNames())
    template = template.model_copy(update={"spec": spec})
    found = Admission(classes).admit(template, "default", "Pod/p").pod_class
    whole = {classes.resources[row]: amount for row, amount in found.requests}
    del whole["pods"]
    level = found.spec.resources
    return (dict(level.requests) if level is not None else None), whole


def own(requests=None, limits=None):
    return ResourceRequirements(requests=Amounts(requests or {}), limits=Amounts(limits or {}))


@pytest.mark.parametrize(
    ("level", "containers", "limits", "requests", "asked"),
    [
        pytest.param(None, {"cpu": 100}, {}, None, {"cpu": 100}, id="no pod-level resources"),
        pytest.param(
            own(limits={"cpu": 9_000, "memory": 17}), {}, {},
            {"cpu": 9_000, "memory": 17}, {"cpu": 9_000, "memory": 17},
            id="containers ask for nothing: the limit",
        ),
        pytest.param(
            own(limits={"cpu": 9_000, "memory": 17}), {"memory": 5}, {},
            {"cpu": 9_000, "memory": 5}, {"cpu": 9_000, "memory": 5},
            id="containers ask for memory: theirs, and the limit of cpu",
        ),
        pytest.param(
            own({"memory": 14}, {"memory": 14}), {"cpu": 500, "memory": 2}, {},
            {"memory": 14, "cpu": 500}, {"cpu": 500, "memory": 14},
            id="what no limit names is the containers' sum",
        ),
        pytest.param(
            own({"memory": 14}), {"cpu": 500}, {},
            {"memory": 14}, {"cpu": 500, "memory": 14},
            id="without a pod-level limit nothing is filled in",
        ),
        pytest.param(
            own(limits={"cpu": 9_000}), {}, {"cpu": 300},
            {"cpu": 300}, {"cpu": 300},
            id="a container's limit becomes its request first",
        ),
        pytest.param(
            own({"cpu": 200}), {HUGE: 4 << 20}, {HUGE: 4 << 20},
            {"cpu": 200, HUGE: 4 << 20}, {"cpu": 200, HUGE: 4 << 20},
            id="huge pages of the containers become the pod's",
        ),
        pytest.param(
            own(limits={"cpu": 9_000}), {"example.com/gpu": 1}, {},
            {"cpu": 9_000}, {"cpu": 9_000, "example.com/gpu": 1},
            id="other resources stay the containers' own",
        ),
    ],
)  # fmt: skip
def test_pod_level_requests(level, containers, limits, requests, asked):
    found, whole = admitted(level, containers, limits)
    assert found == requests
    assert whole == asked
