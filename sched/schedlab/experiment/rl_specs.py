"""A small cluster with GPUs and pods that come to it: what the environment plays by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_GPU: Final = "alibabacloud.com/gpu-"
CLUSTER: Final[Mapping[str, Any]] = {
    "name": "small",
    "pools": [
        {
            "name": "four",
            "count": 6,
            "allocatable": {"cpu": 64, "memory": "256Gi", f"{_GPU}milli": 4000},
        },
        {
            "name": "two",
            "count": 6,
            "allocatable": {"cpu": 24, "memory": "96Gi", f"{_GPU}milli": 2000},
        },
    ],
}
"""Twelve nodes with 36 GPUs, where nothing else is asked for."""


def _item(name: str, rate: int, gpus: int, milli: int, cpu: Mapping[str, int]) -> dict[str, Any]:
    requests: dict[str, Any] = {"cpu": {"choices": dict(cpu)}, "memory": "8Gi"}
    annotations = {}
    if gpus:
        requests[f"{_GPU}milli"] = gpus * milli
        annotations = {f"{_GPU}count": str(gpus), f"{_GPU}milli": str(milli)}
    arrivals = {"process": "poisson", "rate": f"{rate}/min"}
    return {
        "name": name,
        "kind": "Pod",
        "arrivals": arrivals,
        "annotations": annotations,
        "requests": requests,
    }


WORKLOAD: Final[Mapping[str, Any]] = {
    "name": "small",
    "horizon": "3m",
    "items": [
        _item("share", 12, 1, 300, {"2": 1, "4": 1}),
        _item("half", 8, 1, 600, {"4": 1, "8": 1}),
        _item("whole", 6, 1, 1000, {"8": 2, "16": 1}),
        _item("pair", 1, 2, 1000, {"16": 1, "24": 1}),
        _item("plain", 6, 0, 0, {"2": 1, "8": 1}),
    ],
}
"""Some ninety pods, who ask for more GPUs than there are."""
