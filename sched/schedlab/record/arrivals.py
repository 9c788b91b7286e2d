"""What has been allocated by the time that so much has arrived: curves over the demand, not time.

"Beware of Fragmentation" (Weng et al., USENIX ATC'23) plots allocation and fragmentation against
the GPU demand of all pods that have arrived, placed or not, in per cent of the cluster's GPUs. A
published value at X is a mean over the arrivals that round to X; `binned` follows their rounding.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedlab.cluster.devices import GPU_MILLI
from schedlab.record.schema import FRAGMENTS, resource_column
from schedlab.record.usage import micros

Floats = NDArray[np.float64]
USABLE = "usable_milli"
_LOGGED = {"allocated": 2, "fragmented_of_idle": 2}
CAUSE_COLUMNS: tuple[str, ...] = tuple(c.name for c in FRAGMENTS[1:])


def arrival_curve(
    pods: pd.DataFrame, nodes: pd.DataFrame, fragments: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the cluster's GPUs after each arrival.

    Parameters
    ----------
    pods, nodes : DataFrame
        Tables of one run.
    fragments : DataFrame, optional
        Table ``fragments`` of the run.

    Returns
    -------
    DataFrame
        One row per pod that was created, in that order: ``time_us``; in per cent of all GPUs
        ``arrived`` (all that was asked for so far) and ``allocated``; with *fragments* also
        ``fragmented``, in per cent of all GPUs, and ``fragmented_of_idle``, in per cent of what is
        free. Empty where no node has a GPU.
    """
    offered = resource_column("allocatable", GPU_MILLI)
    asked = resource_column("request", GPU_MILLI)
    total = float(nodes[offered].sum()) if offered in nodes else 0.0
    if not total or asked not in pods:
        return pd.DataFrame(columns=["time_us", "arrived", "allocated"])
    percent = total / 100  # demand of exactly half a per cent more has to stay so, to round to even
    created = micros(pods, "created_us")
    order = np.argsort(created, kind="stable")
    order = order[created[order] >= 0]
    milli = pods[asked].to_numpy(dtype=np.float64)
    times = created[order]
    curve = {
        "time_us": times,
        "arrived": np.cumsum(milli[order]) / percent,
        "allocated": _held(pods, milli, times) / percent,
    }
    if fragments is not None and len(fragments):
        row = np.searchsorted(fragments["time_us"].to_numpy(), times, side="right") - 1
        causes = fragments[list(CAUSE_COLUMNS)].to_numpy(dtype=np.float64)[np.maximum(row, 0)]
        idle = causes.sum(axis=1)
        lost = idle - causes[:, CAUSE_COLUMNS.index(USABLE)]
        curve["fragmented"] = lost / total * 100
        curve["fragmented_of_idle"] = np.divide(
            lost * 100, idle, out=np.zeros(len(idle)), where=idle > 0
        )
    return pd.DataFrame(curve)


def _held(pods: pd.DataFrame, milli: Floats, times: NDArray[np.int64]) -> Floats:
    """Return what bound pods hold just after each of *times*, thousandths of GPUs."""
    bound = micros(pods, "bound_us")
    there = bound >= 0
    released = micros(pods, "released_us")
    over = released >= 0
    held = np.zeros(len(times))
    for at, amount, sign in ((bound[there], milli[there], 1), (released[over], milli[over], -1)):
        order = np.argsort(at, kind="stable")
        reached = np.append(0.0, np.cumsum(amount[order]))
        held += sign * reached[np.searchsorted(at[order], times, side="right")]
    return held


def binned(curve: pd.DataFrame, column: str, *, last: int = 130) -> Floats:
    """Return a curve at 0, 1, ... *last* per cent of arrived demand, as the paper's tables have it.

    A value is the mean over the arrivals whose demand rounds (half to even) to the per cent; where
    there is none, over those within one per cent of it. What the paper's program logs with two
    digits is rounded before.

    Returns
    -------
    float64 array of shape [last + 1]
        NaN where no arrival is near.
    """
    at = np.rint(curve["arrived"].to_numpy(dtype=np.float64)).astype(np.int64)
    values = curve[column].to_numpy(dtype=np.float64)
    if column in _LOGGED:
        values = np.round(values, _LOGGED[column])
    first = np.searchsorted(at, np.arange(-1, last + 3))  # demand never falls
    found = np.full(last + 1, np.nan)
    for percent in range(last + 1):
        low, high = first[percent + 1], first[percent + 2]
        if low == high:
            low, high = first[percent], first[percent + 3]
        if low < high:
            found[percent] = values[low:high].mean()  # its order of addition counts, too
    return found
