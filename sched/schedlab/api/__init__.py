"""Kubernetes objects at the edge: models, manifests, selectors and what a pod requests."""

from schedlab.api.requests import nonzero_requests, pod_requests

__all__ = ["nonzero_requests", "pod_requests"]
