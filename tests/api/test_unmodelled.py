"""What the simulation would leave out is refused, what it approximates is warned of."""

import warnings
from typing import Any

import pytest

from schedlab.api import (
    APPROXIMATED,
    UNMODELLED,
    ModelWarning,
    approximated_fields,
    parse_object,
    reject_unmodelled,
    unmodelled_fields,
)
from schedlab.api.base import ApiModel
from schedlab.api.invalid import field_names, models_in
from schedlab.api.objects import KINDS, ApiObject, JobSpec, PodSpec, PodTemplateSpec
from schedlab.errors import InputError


def parsed(kind: str, spec: dict[str, Any]) -> ApiObject:
    found = parse_object({"metadata": {"name": "x"}, "spec": spec}, kind=kind)
    assert found is not None
    return found


def pod(containers: Any = ({"name": "c"},), **spec: Any) -> ApiObject:
    return parsed("Pod", {"containers": list(containers), **spec})


NEAR = [{"topologyKey": "zone"}]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

FOUND = [
    pytest.param(pod(), [], id="a plain pod"),
    pytest.param(
        pod(
            nodeSelector={"a": "b"},
            tolerations=[{"operator": "Exists"}],
            affinity={
                "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{}]}},
                "podAffinity": {REQUIRED: NEAR},
                "podAntiAffinity": {REQUIRED: NEAR},
            },
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            schedulingGates=[{"name": "a/b"}],
            priorityClassName="high",
            preemptionPolicy="Never",
            overhead={"cpu": 1},
            initContainers=[{"name": "s", "restartPolicy": "Always"}],
            volumes=[
                {"name": "v", "emptyDir": {}},
                {"name": "w", "csi": {"driver": "d"}},
                {"name": "x", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "y", "awsElasticBlockStore": {"volumeID": "v"}},
            ],
            containers=[{"name": "c", "ports": [{"containerPort": 1, "hostPort": 1}]}],
            hostNetwork=True,
        ),
        [],
        id="what is modelled, or can't matter",
    ),
    pytest.param(
        pod(
            [{"name": "a", "resources": {"claims": [{"name": "gpu"}]}}],
            resourceClaims=[{"name": "gpu", "resourceClaimName": "x"}],
        ),
        ["spec.resourceClaims", "spec.containers[0].resources.claims"],
        id="device claims",
    ),
    pytest.param(
        parsed(
            "Deployment",
            {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c"}], "runtimeClassName": "gvisor"},
                },
            },
        ),
        ["spec.template.spec.runtimeClassName"],
        id="in a template",
    ),
    pytest.param(
        parsed(
            "Job",
            {
                "managedBy": "kueue.x-k8s.io/multikueue",
                "podFailurePolicy": {"rules": []},
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]},
                },
            },
        ),
        ["spec.podFailurePolicy", "spec.managedBy"],
        id="Job",
    ),
    pytest.param(
        parsed(
            "Job",
            {
                "managedBy": "kubernetes.io/job-controller",
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
            },
        ),
        [],
        id="the Job controller itself",
    ),
    pytest.param(parsed("ReplicationController", {}), ["kind"], id="a kind"),
    pytest.param(parsed("Service", {}), [], id="a service"),
]


@pytest.mark.parametrize(("found", "paths"), FOUND)
def test_unmodelled_fields(found: ApiObject, paths: list[str]) -> None:
    assert [path for path, _ in unmodelled_fields(found)] == paths
    if not paths:
        reject_unmodelled(found)
        return
    with pytest.raises(InputError) as caught:
        reject_unmodelled(found, "some.yaml")
    assert caught.value.file == "some.yaml"
    assert caught.value.field == f"{found.kind}/x: {paths[0]}"
    assert str(UNMODELLED.get(found.kind, caught.value.found)).strip("<>") in str(caught.value)


def test_templates_of_bare_pods_are_looked_at_too() -> None:
    spec = {"containers": [{"name": "c"}], "runtimeClassName": "gvisor"}
    template = PodTemplateSpec.model_validate({"spec": spec}, by_name=False)
    with pytest.raises(InputError, match=r"^spec\.runtimeClassName: expected only what"):
        reject_unmodelled(template)


def test_what_is_approximated_is_warned_of_once_per_field() -> None:
    probed = {"name": "c", "readinessProbe": {}, "livenessProbe": {"httpGet": {"port": 1}}}
    found = pod([probed, {**probed, "name": "d"}], activeDeadlineSeconds=5)
    assert [path for path, _ in approximated_fields(found)] == [
        "spec.activeDeadlineSeconds",
        "spec.containers[0].livenessProbe",
        "spec.containers[1].livenessProbe",
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        reject_unmodelled(found)
    assert [str(w.message) for w in caught] == [
        "Pod spec.activeDeadlineSeconds: the deadline is not enforced",
        "Pod spec.containers[].livenessProbe: probes always succeed",
    ]
    assert {w.category for w in caught} == {ModelWarning}


def test_kinds_that_stay_as_they_are_are_warned_of() -> None:
    source = {"persistentVolumeName": "v"}
    found = parsed("VolumeAttachment", {"attacher": "d", "nodeName": "n", "source": source})
    with pytest.warns(ModelWarning, match="VolumeAttachment kind: it stays as it is"):
        reject_unmodelled(found)


@pytest.mark.parametrize("path", [*UNMODELLED, *APPROXIMATED])
def test_every_path_of_the_tables_exists(path: str) -> None:
    owner, *keys = path.split(".")
    if not keys:
        assert owner in KINDS
        return
    roots: dict[str, type[ApiModel]] = {"PodSpec": PodSpec, "JobSpec": JobSpec}
    model = roots[owner]
    for key in keys[:-1]:
        field = model.model_fields[field_names(model)[key.removesuffix("[]")]]
        assert key.endswith("[]") == ("tuple" in str(field.annotation))
        model = next(models_in(field.annotation))
    assert keys[-1] in field_names(model)


def test_no_field_stands_in_both_tables() -> None:
    assert not set(UNMODELLED) & set(APPROXIMATED)
