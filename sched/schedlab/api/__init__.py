"""Kubernetes objects at the edge: models, manifests, selectors and what a pod requests.

The types themselves are in `schedlab.api.objects`.
"""

from schedlab.api.base import Amounts, ModelWarning
from schedlab.api.manifests import parse_manifests, parse_object, read_manifests, write_manifest
from schedlab.api.requests import nonzero_requests, pod_requests
from schedlab.api.unmodelled import (
    APPROXIMATED,
    UNMODELLED,
    approximated_fields,
    reject_unmodelled,
    unmodelled_fields,
)
from schedlab.api.yaml_loader import load_documents

__all__ = [
    "APPROXIMATED",
    "UNMODELLED",
    "Amounts",
    "ModelWarning",
    "approximated_fields",
    "load_documents",
    "nonzero_requests",
    "parse_manifests",
    "parse_object",
    "pod_requests",
    "read_manifests",
    "reject_unmodelled",
    "unmodelled_fields",
    "write_manifest",
]
