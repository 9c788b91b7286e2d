"""The CSV files of the openb trace, read strictly.

Every error names file, row (the header is row 1), column, what was found and what was expected.
``csv`` of the standard library was chosen over pandas: the lists are short, the control plane's
imports stay free of pandas, and a bad cell is found with its row.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from schedlab.errors import InputError
from schedlab.workload.model import unknown_key

Ints = NDArray[np.int64]
NODE_COLUMNS: Final = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
SIZE_COLUMNS: Final = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
"""What every pod list has; the lists for packing alone have nothing else."""
TIME_COLUMNS: Final = ("creation_time", "deletion_time", "scheduled_time")
OTHER_COLUMNS: Final = ("gpu_spec", "qos", "pod_phase")
_LARGEST: Final = 10**12  # milli-cores, MiB, seconds: beyond it a cell is a mistake


@dataclass(frozen=True)
class PodList:
    """A pod list in columns.

    Attributes
    ----------
    name, gpu_spec, qos, phase : tuple of str, length P
        Empty strings where the list has no such column.
    cpu_milli, memory_mib, num_gpu, gpu_milli : int64 array of shape [P]
        Sizes; gpu_milli is per GPU, 1000 = a whole one.
    created, scheduled, deleted : int64 array of shape [P], seconds, or None
        None where the list has no times. scheduled = -1: never; deleted = -1: still there.
    """

    name: tuple[str, ...]
    gpu_spec: tuple[str, ...]
    qos: tuple[str, ...]
    phase: tuple[str, ...]
    cpu_milli: Ints
    memory_mib: Ints
    num_gpu: Ints
    gpu_milli: Ints
    created: Ints | None
    scheduled: Ints | None
    deleted: Ints | None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8")
    return path.open(newline="", encoding="utf-8")


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file; none where it can't be read."""
    try:
        with _opened(path) as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []  # who reads the rest says what is wrong


def read_table(
    path: Path,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    together: tuple[str, ...] = (),
) -> dict[str, list[str]]:
    """Return the columns of a CSV file as text, checking the header and the row lengths.

    Columns of *together* are all there, or none of them is.
    """
    try:
        with _opened(path) as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = "schedlab fetch openb downloads the trace" if not path.exists() else ""
        raise InputError(
            "", found=str(path), expected="a readable CSV file", file=path, hint=hint
        ) from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if any(name in header for name in together):
        required = (*required, *together)
    for name in required:
        if name not in header:
            raise InputError(
                "row 1", found=header, expected=f"a header with the column {name}", file=path
            )
    for name in header:
        if name not in (*required, *optional):
            known = dict.fromkeys((*required, *together, *optional))
            raise unknown_key(name, list(known), file=path).under("row 1: column")
        if header.count(name) > 1:
            raise InputError("row 1", found=name, expected="each column once", file=path)
    body = rows[1:]
    for i, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputError(
                f"row {i}", found=f"{len(row)} cells", expected=f"{len(header)} cells", file=path
            )
    columns = zip(*body, strict=True) if body else [()] * len(header)
    return {name: list(column) for name, column in zip(header, columns, strict=True)}


def numbers(
    path: Path, table: dict[str, list[str]], column: str, *, empty: int | None = None
) -> Ints:
    """Return a column of integers >= 0; an empty cell is *empty*, or an error."""
    result = np.empty(len(table[column]), np.int64)
    for i, text in enumerate(table[column]):
        if text.isascii() and text.isdigit() and len(text) < 13:
            result[i] = int(text)
        elif not text.strip() and empty is not None:
            result[i] = empty
        else:
            result[i] = _whole(path, column, i, text)
    return result


def _whole(path: Path, column: str, row: int, text: str) -> int:
    """Read a number such as ``427061.0``, which spreadsheets and pandas write."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LARGEST or not value.is_integer():
        raise cell_error(path, row, column, text, "an integer >= 0")
    return int(value)


def cell_error(path: Path, row: int, column: str, found: object, expected: str) -> InputError:
    """Return the error for a cell; *row* counts the data rows from 0."""
    return InputError(f"row {row + 2}: {column}", found=found, expected=expected, file=path)


def check_names(path: Path, names: list[str], column: str) -> None:
    """Refuse empty names and duplicates."""
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise cell_error(path, i, column, name, "a name")
        if first.setdefault(name, i) != i:
            raise cell_error(
                path, i, column, name, f"unique names (row {first[name] + 2} has it too)"
            )


def read_pod_list(path: Path) -> PodList:
    """Read a pod list, with or without times.

    Raises
    ------
    InputError
        A column is missing or unknown, a cell isn't what it should be, a name occurs twice, or
        a pod ends before it starts.
    """
    table = read_table(path, SIZE_COLUMNS, OTHER_COLUMNS, together=TIME_COLUMNS)
    timed = TIME_COLUMNS[0] in table
    check_names(path, table["name"], "name")
    nothing = [""] * len(table["name"])
    pods = PodList(
        name=tuple(table["name"]),
        gpu_spec=tuple(table.get("gpu_spec", nothing)),
        qos=tuple(table.get("qos", nothing)),
        phase=tuple(table.get("pod_phase", nothing)),
        cpu_milli=numbers(path, table, "cpu_milli"),
        memory_mib=numbers(path, table, "memory_mib"),
        num_gpu=numbers(path, table, "num_gpu"),
        gpu_milli=numbers(path, table, "gpu_milli"),
        created=numbers(path, table, "creation_time") if timed else None,
        scheduled=numbers(path, table, "scheduled_time", empty=-1) if timed else None,
        deleted=numbers(path, table, "deletion_time", empty=-1) if timed else None,
    )
    _check_gpus(path, pods)
    _check_times(path, pods)
    return pods


def _check_gpus(path: Path, pods: PodList) -> None:
    share = pods.gpu_milli
    for wrong, expected in (
        ((pods.num_gpu == 0) & (share != 0), "0, as num_gpu is 0"),
        ((pods.num_gpu == 1) & ((share < 1) | (share > 1000)), "1 to 1000, as num_gpu is 1"),
        ((pods.num_gpu > 1) & (share != 1000), "1000, as several GPUs are whole ones"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise cell_error(path, row, "gpu_milli", int(share[row]), expected)


def _check_times(path: Path, pods: PodList) -> None:
    if pods.created is None or pods.scheduled is None or pods.deleted is None:
        return
    ran, ended = pods.scheduled >= 0, pods.deleted >= 0
    start = np.where(ran, pods.scheduled, pods.created)
    for wrong, column, values, since in (
        (ran & (pods.scheduled < pods.created), "scheduled_time", pods.scheduled, pods.created),
        (ended & (pods.deleted < start), "deletion_time", pods.deleted, start),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            name = "creation_time" if since is pods.created or not ran[row] else "scheduled_time"
            raise cell_error(
                path, row, column, int(values[row]), f"a time >= {name} {int(since[row])}"
            )
