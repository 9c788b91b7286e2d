"""In-tree volumes as the CSI drivers see them that have taken over from the in-tree plugins.

A volume written for an in-tree plugin (``awsElasticBlockStore``, say) is served by a CSI driver on
nodes that have migrated. Its handle and its topology are then the driver's: attach limits count it
with the driver's own volumes, and its node affinity speaks of the driver's topology keys. The rules
are those of upstream's csi-translation-lib, as far as scheduling depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from schedlab.api.meta import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from schedlab.api.objects import PersistentVolume, VolumeNodeAffinity
from schedlab.api.volumes import VolumeSources
from schedlab.cluster.nodes import REGION, ZONE

BETA_ZONE: Final = "failure-domain.beta.kubernetes.io/zone"
BETA_REGION: Final = "failure-domain.beta.kubernetes.io/region"
ZONE_SEPARATOR: Final = "__"
"""Parts the zones in a volume's label."""
MIGRATED_PLUGINS: Final = "storage.alpha.kubernetes.io/migrated-plugins"
"""Annotation of a CSINode: the in-tree plugins that have migrated there, comma separated."""
UNSPECIFIED: Final = "UNSPECIFIED"

_AWS_VOLUME: Final = re.compile(r"vol-[^/]*")


class TranslationError(ValueError):
    """A volume that its plugin's translation can't read, in upstream's words."""


@dataclass(frozen=True, slots=True)
class InTreePlugin:
    """An in-tree plugin and the CSI driver that supersedes it.

    Attributes
    ----------
    name : str
        ``kubernetes.io/...``.
    driver : str
        Name of the CSI driver.
    field : str
        Attribute of `VolumeSources` that holds its volumes.
    topology_key : str
        The driver's zone label, where translation replaces the zone by it; "" = it doesn't.
    handle : callable, optional
        Source and labels of the volume (none for an inline one) -> the driver's handle. None where
        migration never counts for scheduling.
    """

    name: str
    driver: str
    field: str
    topology_key: str = ""
    handle: Callable[[VolumeSources, PersistentVolume | None], str] | None = None

    @property
    def migrates(self) -> bool:
        """Whether the scheduler follows the migration of this plugin (upstream's fixed list)."""
        return self.handle is not None


def _aws_handle(sources: VolumeSources, volume: PersistentVolume | None) -> str:
    """Return the EBS volume's own id: ``vol-1`` for ``aws://zone/vol-1`` and for ``vol-1``."""
    disk = sources.aws_elastic_block_store
    name = "" if disk is None else disk.volume_id
    if not name.startswith("aws://"):
        return name
    found = urlsplit(name).path.strip("/")
    if not _AWS_VOLUME.fullmatch(found):
        raise TranslationError(
            "failed to translate Kubernetes ID to EBS Volume ID "
            f"Invalid format for AWS volume ({name})"
        )
    return found


def _gce_handle(sources: VolumeSources, volume: PersistentVolume | None) -> str:
    """Return ``projects/UNSPECIFIED/zones/a/disks/d``, or its regional form for many zones."""
    disk = sources.gce_persistent_disk
    name = "" if disk is None else disk.pd_name
    labels = {} if volume is None else volume.metadata.labels
    zones = (labels.get(BETA_ZONE) or labels.get(ZONE, "")).split(ZONE_SEPARATOR)
    if len(zones) > 1:
        return f"projects/{UNSPECIFIED}/regions/{_gce_region(zones)}/disks/{name}"
    return f"projects/{UNSPECIFIED}/zones/{zones[0] or UNSPECIFIED}/disks/{name}"


def _gce_region(zones: list[str]) -> str:
    regions: dict[str, None] = {}
    for zone in zones:
        parts = zone.split("-")
        if len(parts) != 3:
            raise TranslationError(
                "failed to get region from zones: zone in unexpected format, "
                f"expected: {{locale}}-{{region}}-{{zone}}, got: {zone}"
            )
        regions["-".join(parts[:2])] = None
    if len(regions) != 1:
        raise TranslationError(
            "failed to get region from zones: multiple or no regions gotten from zones, "
            f"got: map[{' '.join(f'{region}:{{}}' for region in sorted(regions))}]"
        )
    return next(iter(regions))


def _azure_disk_handle(sources: VolumeSources, volume: PersistentVolume | None) -> str:
    return "" if sources.azure_disk is None else sources.azure_disk.disk_uri


def _cinder_handle(sources: VolumeSources, volume: PersistentVolume | None) -> str:
    return str((sources.cinder or {}).get("volumeID", ""))


def _portworx_handle(sources: VolumeSources, volume: PersistentVolume | None) -> str:
    return str((sources.portworx_volume or {}).get("volumeID", ""))


IN_TREE: Final = (
    InTreePlugin(
        "kubernetes.io/aws-ebs",
        "ebs.csi.aws.com",
        "aws_elastic_block_store",
        "topology.ebs.csi.aws.com/zone",
        _aws_handle,
    ),
    InTreePlugin(
        "kubernetes.io/gce-pd",
        "pd.csi.storage.gke.io",
        "gce_persistent_disk",
        "topology.gke.io/zone",
        _gce_handle,
    ),
    InTreePlugin(
        "kubernetes.io/azure-disk", "disk.csi.azure.com", "azure_disk", handle=_azure_disk_handle
    ),
    InTreePlugin(
        "kubernetes.io/cinder",
        "cinder.csi.openstack.org",
        "cinder",
        "topology.cinder.csi.openstack.org/zone",
        _cinder_handle,
    ),
    InTreePlugin(
        "kubernetes.io/portworx-volume",
        "pxd.portworx.com",
        "portworx_volume",
        handle=_portworx_handle,
    ),
    InTreePlugin("kubernetes.io/azure-file", "file.csi.azure.com", "azure_file"),
    InTreePlugin("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com", "vsphere_volume"),
)
"""The in-tree plugins that have a CSI driver in Kubernetes 1.35."""
BY_NAME: Final = {plugin.name: plugin for plugin in IN_TREE}


def in_tree_plugin(sources: VolumeSources) -> InTreePlugin | None:
    """Return the plugin that a volume, of a pod or persistent, is written for, if it migrates."""
    for plugin in IN_TREE:
        if getattr(sources, plugin.field) is not None:
            return plugin
    return None


def translated_affinity(
    volume: PersistentVolume, plugin: InTreePlugin
) -> VolumeNodeAffinity | None:
    """Return the nodes that can use an in-tree *volume*, in the words of *plugin*'s CSI driver.

    A zone in the node affinity becomes the driver's topology key; without one, the zones in the
    volume's label are added to every term. Beta region keys become the stable ones.

    Raises
    ------
    TranslationError
        The volume can't be read.
    """
    if plugin.handle is not None:
        plugin.handle(volume.spec, volume)
    affinity = volume.spec.node_affinity
    if not plugin.topology_key:
        return affinity
    zone, region = _topology_labels(volume)
    required = None if affinity is None else affinity.required
    terms = () if required is None else required.node_selector_terms
    if _names(terms, zone):
        terms = _renamed(terms, zone, plugin.topology_key)
    elif zone in volume.metadata.labels:
        terms = _with_zones(terms, plugin.topology_key, volume.metadata.labels[zone])
    if region == BETA_REGION and _names(terms, region):
        terms = _renamed(terms, BETA_REGION, REGION)
    if not terms:
        return affinity
    return VolumeNodeAffinity(required=NodeSelector(node_selector_terms=terms))


def _topology_labels(volume: PersistentVolume) -> tuple[str, str]:
    """Return the zone and region keys that a volume uses: its affinity counts before its labels."""
    affinity = volume.spec.node_affinity
    required = None if affinity is None else affinity.required
    terms = () if required is None else required.node_selector_terms
    keys = {r.key for term in terms for r in term.match_expressions}
    for found in (keys, volume.metadata.labels):
        if ZONE in found:
            return ZONE, REGION
        if BETA_ZONE in found:
            return BETA_ZONE, BETA_REGION
    return ZONE, REGION


def _names(terms: tuple[NodeSelectorTerm, ...], key: str) -> bool:
    """Return whether *terms* name any values of *key*."""
    return any(r.key == key and r.values for term in terms for r in term.match_expressions)


def _renamed(
    terms: tuple[NodeSelectorTerm, ...], old: str, new: str
) -> tuple[NodeSelectorTerm, ...]:
    return tuple(
        term.model_copy(
            update={
                "match_expressions": tuple(
                    r.model_copy(update={"key": new}) if r.key == old else r
                    for r in term.match_expressions
                )
            }
        )
        for term in terms
    )


def _with_zones(
    terms: tuple[NodeSelectorTerm, ...], key: str, label: str
) -> tuple[NodeSelectorTerm, ...]:
    zones = tuple(sorted({zone.strip() for zone in label.split(ZONE_SEPARATOR)} - {""}))
    if not zones:
        return terms
    extra = NodeSelectorRequirement(key=key, operator="In", values=zones)
    return tuple(
        term.model_copy(update={"match_expressions": (*term.match_expressions, extra)})
        for term in terms or (NodeSelectorTerm(),)
    )
