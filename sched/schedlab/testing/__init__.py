"""Tools for tests of schedulers and experiments, for users of schedlab as for itself."""

from schedlab.testing.affinity import label_condition, pod_affinity, pod_term
from schedlab.testing.conformance import check_scheduler
from schedlab.testing.runs import (
    PlainFirstFit,
    checked,
    created,
    deleted,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)
from schedlab.testing.spreading import spread

__all__ = [
    "PlainFirstFit",
    "check_scheduler",
    "checked",
    "created",
    "deleted",
    "label_condition",
    "pod_affinity",
    "pod_template",
    "pod_term",
    "pods_at",
    "seconds",
    "small_node",
    "small_run",
    "spread",
    "texts",
]
