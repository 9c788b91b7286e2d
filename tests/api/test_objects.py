"""The models themselves: strict at the edge, frozen inside, complete against Kubernetes."""

import importlib
import pickle
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from schedlab import api
from schedlab.api import objects
from schedlab.api.base import Amounts, ApiModel
from schedlab.api.invalid import nearest
from schedlab.api.known_fields import HARMLESS
from schedlab.api.objects import (
    KINDS,
    ApiObject,
    Container,
    Deployment,
    Node,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceRequirements,
    Toleration,
    Volume,
)


def models() -> dict[str, type[ApiModel]]:
    found: dict[str, type[ApiModel]] = {}
    waiting = [ApiModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            if model.__module__.startswith("schedlab.api."):
                found[model.__name__] = model
                waiting.append(model)
    return found


def test_every_type_of_the_harmless_table_exists_and_drops_what_it_says() -> None:
    known = models()
    assert set(HARMLESS) <= set(known)
    for name, keys in HARMLESS.items():
        own = {info.alias or field for field, info in known[name].model_fields.items()}
        assert known[name].harmless == keys
        assert own.isdisjoint(keys), name


def test_every_name_is_exported_and_sorted() -> None:
    for module in (api, objects):
        assert len(module.__all__) == len(set(module.__all__))
        assert all(hasattr(module, name) for name in module.__all__)
    assert set(get_args(ApiObject)) == set(KINDS.values())


# All fields of Kubernetes 1.35 (from the attribute maps of its Python client, release 35).
FIELDS = {
    "ObjectMeta": "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp"
    " finalizers generateName generation labels managedFields name namespace ownerReferences"
    " resourceVersion selfLink uid",
    "OwnerReference": "apiVersion blockOwnerDeletion controller kind name uid",
    "PodSpec": "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig"
    " dnsPolicy enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID"
    " hostUsers hostname hostnameOverride imagePullSecrets initContainers nodeName nodeSelector os"
    " overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources"
    " restartPolicy runtimeClassName schedulerName schedulingGates securityContext serviceAccount"
    " serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain"
    " terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef",
    "PodStatus": "allocatedResources conditions containerStatuses ephemeralContainerStatuses"
    " extendedResourceClaimStatus hostIP hostIPs initContainerStatuses message nominatedNodeName"
    " observedGeneration phase podIP podIPs qosClass reason resize resourceClaimStatuses resources"
    " startTime",
    "Container": "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports"
    " readinessProbe resizePolicy resources restartPolicy restartPolicyRules securityContext"
    " startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty"
    " volumeDevices volumeMounts workingDir",
    "ContainerPort": "containerPort hostIP hostPort name protocol",
    "ContainerStatus": "allocatedResources allocatedResourcesStatus containerID image imageID"
    " lastState name ready resources restartCount started state stopSignal user volumeMounts",
    "ResourceRequirements": "claims limits requests",
    "Toleration": "effect key operator tolerationSeconds value",
    "TopologySpreadConstraint": "labelSelector matchLabelKeys maxSkew minDomains"
    " nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable",
    "PodAffinityTerm": "labelSelector matchLabelKeys mismatchLabelKeys namespaceSelector"
    " namespaces topologyKey",
    "Volume": "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI"
    " emptyDir ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image"
    " iscsi name nfs persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte"
    " rbd scaleIO secret storageos vsphereVolume",
    "NodeSpec": "configSource externalID podCIDR podCIDRs providerID taints unschedulable",
    "NodeStatus": "addresses allocatable capacity conditions config daemonEndpoints"
    " declaredFeatures features images nodeInfo phase runtimeHandlers volumesAttached"
    " volumesInUse",
    "Taint": "effect key timeAdded value",
    "DeploymentSpec": "minReadySeconds paused progressDeadlineSeconds replicas"
    " revisionHistoryLimit selector strategy template",
    "DeploymentStatus": "availableReplicas collisionCount conditions observedGeneration"
    " readyReplicas replicas terminatingReplicas unavailableReplicas updatedReplicas",
    "ReplicaSetSpec": "minReadySeconds replicas selector template",
    "ReplicaSetStatus": "availableReplicas conditions fullyLabeledReplicas observedGeneration"
    " readyReplicas replicas terminatingReplicas",
    "StatefulSetSpec": "minReadySeconds ordinals persistentVolumeClaimRetentionPolicy"
    " podManagementPolicy replicas revisionHistoryLimit selector serviceName template"
    " updateStrategy volumeClaimTemplates",
    "JobSpec": "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions"
    " managedBy manualSelector maxFailedIndexes parallelism podFailurePolicy podReplacementPolicy"
    " selector successPolicy suspend template ttlSecondsAfterFinished",
    "JobStatus": "active completedIndexes completionTime conditions failed failedIndexes ready"
    " startTime succeeded terminating uncountedTerminatedPods",
    "ServiceSpec": "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName"
    " externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy"
    " loadBalancerClass loadBalancerIP loadBalancerSourceRanges ports publishNotReadyAddresses"
    " selector sessionAffinity sessionAffinityConfig trafficDistribution type",
    "ServicePort": "appProtocol name nodePort port protocol targetPort",
    "PodDisruptionBudgetSpec": "maxUnavailable minAvailable selector unhealthyPodEvictionPolicy",
    "PersistentVolumeClaimSpec": "accessModes dataSource dataSourceRef resources selector"
    " storageClassName volumeAttributesClassName volumeMode volumeName",
    "PersistentVolumeSpec": "accessModes awsElasticBlockStore azureDisk azureFile capacity cephfs"
    " cinder claimRef csi fc flexVolume flocker gcePersistentDisk glusterfs hostPath iscsi local"
    " mountOptions nfs nodeAffinity persistentVolumeReclaimPolicy photonPersistentDisk"
    " portworxVolume quobyte rbd scaleIO storageClassName storageos volumeAttributesClassName"
    " volumeMode vsphereVolume",
    "CSIDriverSpec": "attachRequired fsGroupPolicy nodeAllocatableUpdatePeriodSeconds"
    " podInfoOnMount requiresRepublish seLinuxMount serviceAccountTokenInSecrets storageCapacity"
    " tokenRequests volumeLifecycleModes",
    "Iscsi": "chapAuthDiscovery chapAuthSession fsType initiatorName iqn iscsiInterface lun portals"
    " readOnly secretRef targetPortal",
    "Rbd": "fsType image keyring monitors pool readOnly secretRef user",
    "AzureDisk": "cachingMode diskName diskURI fsType kind readOnly",
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_field_of_kubernetes_is_known(name: str) -> None:
    model = models()[name]
    known = {info.alias or field for field, info in model.model_fields.items()} | model.harmless
    assert known == set(FIELDS[name].split())


def pod(**spec: Any) -> Pod:
    return Pod.model_validate(
        {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], **spec}}, by_name=False
    )


def test_keys_of_namespaced_and_other_kinds() -> None:
    assert pod().key == "default/p"
    assert Pod(metadata=ObjectMeta(name="p", namespace="x"), spec=pod().spec).key == "x/p"
    assert Node(metadata=ObjectMeta(name="n")).key == "n"
    assert (Node.kind, Deployment.api_version) == ("Node", "apps/v1")


def test_objects_are_frozen_and_compare_by_value() -> None:
    one = pod(priority=3)
    with pytest.raises(ValidationError, match="frozen"):
        one.spec.priority = 4
    assert one == pod(priority=3)
    assert one != pod(priority=4)
    assert pickle.loads(pickle.dumps(one)) == one


def test_python_code_uses_snake_case_and_cannot_slip_either() -> None:
    spec = PodSpec(containers=(Container(name="c"),), node_selector={"a": "b"})
    assert spec.node_selector == {"a": "b"}
    with pytest.raises(ValidationError, match="node_selectr"):
        PodSpec(containers=(Container(name="c"),), node_selectr={})  # type: ignore[call-arg]


def test_amounts_are_taken_as_they_are_and_other_mappings_as_quantities() -> None:
    assert ResourceRequirements(requests=Amounts(cpu=500)).requests == {"cpu": 500}
    assert ResourceRequirements(requests={"cpu": 500}).requests == {"cpu": 500_000}
    again = NodeStatus(allocatable=ResourceRequirements(requests={"cpu": 2}).requests)
    assert again.allocatable == {"cpu": 2000}
    copied = pickle.loads(pickle.dumps(again))
    assert NodeStatus(allocatable=copied.allocatable) == again


def test_resource_amounts() -> None:
    found = pod(
        overhead={"cpu": 0.1, "memory": "1.5Gi"},
        containers=[{"name": "c", "resources": {"limits": {"a/b": 1e3, "hugepages-2Mi": "2Mi"}}}],
    )
    assert found.spec.overhead == {"cpu": 100, "memory": 3 * 2**29}
    assert found.spec.containers[0].resources.limits == {"a/b": 1000, "hugepages-2Mi": 2**21}


def test_the_whole_scheduling_surface_is_read() -> None:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"a": "b"}},
        "namespaceSelector": {},
        "matchLabelKeys": ["x"],
        "mismatchLabelKeys": ["y"],
    }
    found = pod(
        affinity={
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "podAffinityTerm": {"topologyKey": "host"}}
                ]
            },
        },
        topologySpreadConstraints=[
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "minDomains": 3,
                "nodeTaintsPolicy": "Honor",
                "nodeAffinityPolicy": "Ignore",
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        schedulingGates=[{"name": "example.com/hold"}],
        initContainers=[{"name": "s", "restartPolicy": "Always"}],
        volumes=[
            {"name": "a", "persistentVolumeClaim": {"claimName": "x"}},
            {"name": "b", "scaleIO": {"system": "s"}},
            {"name": "c"},
        ],
    )
    affinity = found.spec.affinity
    assert affinity is not None
    assert affinity.pod_affinity is not None
    assert affinity.pod_anti_affinity is not None
    [near] = affinity.pod_affinity.required_during_scheduling_ignored_during_execution
    assert near.namespace_selector is not None
    assert near.namespace_selector.match_labels == {}
    assert (near.match_label_keys, near.mismatch_label_keys) == (("x",), ("y",))
    [far] = affinity.pod_anti_affinity.preferred_during_scheduling_ignored_during_execution
    assert far.weight == 100
    assert far.pod_affinity_term.namespace_selector is None
    [spread] = found.spec.topology_spread_constraints
    assert (spread.min_domains, spread.node_taints_policy) == (3, "Honor")
    assert found.spec.scheduling_gates[0].name == "example.com/hold"
    assert found.spec.init_containers[0].restart_policy == "Always"
    claim = found.spec.volumes[0].persistent_volume_claim
    assert claim is not None
    assert claim.claim_name == "x"
    assert found.spec.volumes[1].scale_io == {"system": "s"}
    assert found.spec.volumes[2] == Volume(name="c")


def test_absent_differs_from_zero_where_kubernetes_has_a_pointer() -> None:
    found = pod()
    assert found.spec.priority is None
    assert found.spec.termination_grace_period_seconds is None
    assert pod(terminationGracePeriodSeconds=0).spec.termination_grace_period_seconds == 0
    assert Toleration(key="a").operator is None
    assert Toleration(key="a").toleration_seconds is None


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("nodeselector", "did you mean 'nodeSelector'?"),
        ("NODE-SELECTOR", "did you mean 'nodeSelector'?"),
        ("nodeSelecter", "did you mean 'nodeSelector'?"),
        ("qqq", ""),
    ],
)
def test_nearest_key(key: str, hint: str) -> None:
    assert nearest(key, ["nodeSelector", "nodeName"]) == hint


def test_modules_are_documented() -> None:
    for name in ("base", "meta", "pods", "nodes", "controllers", "storage", "volumes"):
        assert (importlib.import_module(f"schedlab.api.{name}").__doc__ or "").strip()
