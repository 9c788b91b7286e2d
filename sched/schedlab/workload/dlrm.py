"""The DLRM trace: instances of recommendation services of Alibaba, recorded in 2025.

An instance is a CPU node (``CN``) or a GPU host (``HN``) of a disaggregated service; it becomes a
pod with its CPU, memory and GPUs. RDMA bandwidth, disks and the most instances of one service on a
node aren't modelled: the trace doesn't say what nodes offer. Instances without a creation time were
there when the recording started and get time 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from schedlab.workload.openb_csv import Ints, PodList, cell_error, check_names, numbers, read_table

SIZES: Final = ("instance_sn", "role", "app_name", "cpu_request", "gpu_request", "memory_request")
TIMES: Final = ("creation_time", "scheduled_time", "deletion_time")
IGNORED: Final = (
    "cpu_limit",
    "gpu_limit",
    "rdma_request",
    "rdma_limit",
    "memory_limit",
    "disk_request",
    "disk_limit",
    "max_instance_per_node",
)
_MIB_PER_GIB: Final = 1024


def read_dlrm_pods(path: Path) -> PodList:
    """Read the instances of the trace as a pod list; ``qos`` is the role.

    Raises
    ------
    InputError
        With file, row, column, found and expected.
    """
    table = read_table(path, (*SIZES, *TIMES), IGNORED)
    names = table["instance_sn"]
    check_names(path, names, "instance_sn")
    for row, role in enumerate(table["role"]):
        if role not in ("CN", "HN"):
            raise cell_error(path, row, "role", role, "CN or HN")
    gpus = numbers(path, table, "gpu_request")
    created = _rounded(path, table, "creation_time", empty=0)
    scheduled = np.maximum(_rounded(path, table, "scheduled_time", empty=0), created)
    deleted = _rounded(path, table, "deletion_time", empty=-1)
    for row in np.flatnonzero((deleted >= 0) & (deleted < scheduled)).tolist():
        raise cell_error(
            path, row, "deletion_time", int(deleted[row]), f"a time >= {int(scheduled[row])}"
        )
    nothing = ("",) * len(names)
    return PodList(
        name=tuple(name.replace("_", "-") for name in names),
        gpu_spec=nothing,
        qos=tuple(table["role"]),
        phase=nothing,
        cpu_milli=1000 * numbers(path, table, "cpu_request"),
        memory_mib=_rounded(path, table, "memory_request", scale=_MIB_PER_GIB),
        num_gpu=gpus,
        gpu_milli=np.where(gpus > 0, 1000, 0),
        created=created,
        scheduled=scheduled,
        deleted=deleted,
    )


def _rounded(
    path: Path,
    table: dict[str, list[str]],
    column: str,
    *,
    scale: int = 1,
    empty: int | None = None,
) -> Ints:
    """Return a column of numbers that may have fractions, times *scale* and rounded."""
    found = np.empty(len(table[column]), np.int64)
    for row, text in enumerate(table[column]):
        if not text and empty is not None:
            found[row] = empty
            continue
        try:
            value = float(text) * scale
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e12:
            raise cell_error(path, row, column, text, "a number >= 0")
        found[row] = round(value)
    return found
