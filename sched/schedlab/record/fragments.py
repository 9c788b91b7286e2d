"""GPU fragmentation over a run: the cluster's F_n(M) by cause at every change of a node.

It follows from what the pods held and when, so nothing is measured while the run goes on; see
`schedlab.cluster.fragmentation` for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import WHOLE, Shape
from schedlab.cluster.fragmentation import CAUSES, TypicalPods, fragment_series
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.pods import PodTable
from schedlab.cluster.vocabulary import CPU
from schedlab.record.recorder import Table, to_numpy

Ints = NDArray[np.int64]
COVERAGE = 0.95
"""Share of the known mix of pods that the typical ones stand for, the paper's."""


def fragment_table(pods: PodTable, nodes: NodeColumns, mix: Mapping[Shape, int]) -> Table:
    """Return the table ``fragments`` of a run: time 0, and every instant at which a node changed.

    It has no rows where no node has a GPU, or nothing is known of the pods to come.
    """
    devices, size = nodes.devices, nodes.size
    if not devices.width or not mix:
        return {}
    bound = np.flatnonzero(to_numpy(pods.bound_us) >= 0)
    starts = to_numpy(pods.bound_us)[bound]
    ends = to_numpy(pods.released_us)[bound]
    left = np.flatnonzero(ends >= 0)
    time_us = np.concatenate([starts, ends[left]])
    pod = np.concatenate([bound, bound[left]])
    sign = np.repeat([1, -1], [len(bound), len(left)])
    order = np.lexsort((pod, sign, time_us))
    pod, sign = pod[order], sign[order]
    cpu, milli, masks = _requests(pods)
    changes = np.zeros((len(pod) + 1, 3), np.int64)  # the first one changes nothing: time 0
    changes[1:] = np.stack([to_numpy(pods.node)[pod], sign * cpu[pod], masks[pod]], axis=1)
    taken = np.append(0, sign * milli[pod])
    time_us = np.append(0, time_us[order])
    out = np.zeros((len(changes), len(CAUSES)))
    free = np.where(np.arange(devices.width) < devices.count[:size, None], WHOLE, 0)
    typical = TypicalPods.counted(mix, COVERAGE).columns(devices)
    fragment_series(
        nodes.allocatable[CPU, :size].copy(),
        free.astype(np.int64),
        devices.count,
        devices.model,
        typical,
        changes,
        taken,
        out,
    )
    last = np.flatnonzero(np.append(time_us[1:] != time_us[:-1], True))
    table: Table = {"time_us": time_us[last]}
    for column, cause in enumerate(CAUSES):
        table[f"{cause}_milli"] = out[last, column]
    return table


def _requests(pods: PodTable) -> tuple[Ints, Ints, Ints]:
    """Return milli-cores, thousandths of each GPU, and the GPUs as a mask, of every pod, [P]."""
    of_class = to_numpy(pods.pod_class)
    cpu = np.array([dict(c.requests).get(CPU, 0) for c in pods.classes], np.int64)
    milli = np.array([0 if c.devices is None else c.devices.milli for c in pods.classes], np.int64)
    masks = np.zeros(len(pods), np.int64)
    for row, held in pods.devices.items():
        for device in held:
            masks[row] |= 1 << device
    return cpu[of_class], milli[of_class], masks
