"""The kinds of plots that results can be shown by."""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    "utilization": "requested / allocatable of a resource over time",
    "queue": "pods waiting over time",
    "heatmap": "requested / allocatable of each node over time, for one run",
    "wait": "share of pods bound within a time",
    "startup": "share of pods ready within a time",
    "waterfall": "the stages of a pod, one after the other",
    "stages": "median, p90 and p99 of each stage",
    "differences": "paired differences to the baseline with their intervals",
    "gpu-allocation": "GPUs allocated against what pods have asked for (figure 9a of FGD's paper)",
    "gpu-fragments": "GPU fragmentation against what pods have asked for (figure 7a)",
    "gpu-fragment-rate": "the same as a share of what is free (figure 7b)",
    "gpu-bars": "GPUs allocated at 130 % demand, a group of bars per scenario (figures 11 to 14)",
}
"""Name -> what it shows, of one scenario; `OF_ALL` of all."""
WRITTEN: Final = ("utilization", "wait", "waterfall")
"""What ``schedlab run`` writes where the experiment names no plots."""
WAITS: Final = {"wait": "bound_us", "startup": "ready_us"}
"""Kinds that show the time from creation to a stage."""
DEMAND: Final = {
    "gpu-allocation": "allocated",
    "gpu-fragments": "fragmented",
    "gpu-fragment-rate": "fragmented_of_idle",
}
"""Kinds that show a curve of `report.gpu.CURVES`."""
OF_ALL: Final = ("gpu-bars",)
"""Kinds that show all scenarios in one figure."""
