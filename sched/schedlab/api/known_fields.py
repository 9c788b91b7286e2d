"""Keys that Kubernetes 1.35 knows and that can't change what schedlab simulates, per type.

They are accepted and dropped, so that manifests and the output of ``kubectl get -o yaml`` parse
unchanged. A key belongs here only when no placement, no timing of a stage and no number of pods
depends on it; otherwise it is a field of the model, and `schedlab.api.unmodelled` says so when the
simulation can't honour it yet. Deprecated keys (``serviceAccount``, ``externalID``) stand here too.
"""

from __future__ import annotations


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS: dict[str, frozenset[str]] = {
    "ObjectMeta": _keys("managedFields selfLink"),
    # pods
    "PodSpec": _keys(
        "automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers"
        " hostAliases hostIPC hostPID hostUsers hostname hostnameOverride imagePullSecrets"
        " securityContext serviceAccount serviceAccountName setHostnameAsFQDN"
        " shareProcessNamespace subdomain"
    ),
    "Container": _keys(
        "args command env envFrom resizePolicy securityContext stdin stdinOnce"
        " terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts"
        " workingDir"
    ),
    "PodStatus": _keys(
        "ephemeralContainerStatuses hostIP hostIPs observedGeneration podIP podIPs qosClass resize"
    ),
    "ContainerStatus": _keys(
        "allocatedResourcesStatus containerID image imageID lastState ready restartCount started"
        " state stopSignal user volumeMounts"
    ),
    "PodCondition": _keys("lastProbeTime lastTransitionTime message observedGeneration"),
    # nodes
    "NodeSpec": _keys("configSource externalID podCIDR podCIDRs"),
    "NodeStatus": _keys("addresses config daemonEndpoints features nodeInfo phase runtimeHandlers"),
    "NodeCondition": _keys("lastHeartbeatTime lastTransitionTime message"),
    "Taint": _keys("timeAdded"),
    # controllers
    "DeploymentStatus": _keys("collisionCount conditions"),
    "ReplicaSetStatus": _keys("conditions"),
    "ReplicationControllerStatus": _keys("conditions"),
    "StatefulSetStatus": _keys("collisionCount conditions"),
    "JobStatus": _keys("conditions uncountedTerminatedPods"),
    # services and namespaces
    "ServiceSpec": _keys(
        "allocateLoadBalancerNodePorts clusterIPs externalIPs externalName"
        " externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies"
        " ipFamilyPolicy loadBalancerClass loadBalancerIP loadBalancerSourceRanges"
        " sessionAffinity sessionAffinityConfig trafficDistribution"
    ),
    "ServicePort": _keys("appProtocol"),
    "Service": _keys("status"),
    "Namespace": _keys("spec status"),
    "PriorityClass": _keys("description"),
    # policy and storage
    "PodDisruptionBudgetStatus": _keys("conditions"),
    "PersistentVolumeClaimSpec": _keys("dataSource dataSourceRef"),
    "PersistentVolumeClaimStatus": _keys(
        "allocatedResourceStatuses allocatedResources conditions"
        " currentVolumeAttributesClassName modifyVolumeStatus"
    ),
    "PersistentVolumeSpec": _keys("mountOptions"),
    "PersistentVolumeStatus": _keys("lastPhaseTransitionTime message reason"),
    "ObjectReference": _keys("fieldPath resourceVersion"),
    "StorageClass": _keys("mountOptions"),
    "CSIDriverSpec": _keys(
        "fsGroupPolicy nodeAllocatableUpdatePeriodSeconds podInfoOnMount requiresRepublish"
        " seLinuxMount serviceAccountTokenInSecrets tokenRequests"
    ),
    "VolumeAttachmentStatus": _keys("attachError attachmentMetadata detachError"),
}
"""Type name -> the keys that it drops."""
