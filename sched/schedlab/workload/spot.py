"""The nodes of Alibaba's spot GPU trace, 2026: models and numbers of GPUs, and CPUs.

The list has no memory. A node gets 4 GiB per CPU, which is an assumption of ours; nodes of the
openb trace have between 2 and 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schedlab.workload.openb_csv import cell_error, check_names, numbers, read_table

COLUMNS: Final = ("gpu_model", "gpu_capacity_num", "cpu_num", "node_name")
MEMORY_MIB_PER_CPU: Final = 4096


def read_spot_nodes(path: Path) -> dict[str, list[str]]:
    """Read the node list, as a table in the form of openb's.

    Raises
    ------
    InputError
        With file, row, column, found and expected.
    """
    table = read_table(path, COLUMNS)
    check_names(path, table["node_name"], "node_name")
    cpus = numbers(path, table, "cpu_num").tolist()
    gpus = numbers(path, table, "gpu_capacity_num").tolist()
    for row, model in enumerate(table["gpu_model"]):
        if bool(model) != bool(gpus[row]):
            expected = "a model, as it has GPUs" if gpus[row] else "nothing, as it has no GPU"
            raise cell_error(path, row, "gpu_model", model, expected)
    return {
        "sn": [f"spot-node-{name}" for name in table["node_name"]],
        "cpu_milli": [str(1000 * cpu) for cpu in cpus],
        "memory_mib": [str(MEMORY_MIB_PER_CPU * cpu) for cpu in cpus],
        "gpu": [str(gpu) for gpu in gpus],
        "model": table["gpu_model"],
    }
