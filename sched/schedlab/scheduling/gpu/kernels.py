"""Compiled filter and scores over the columns of GPUs; constants stand in this file.

Each takes the rows to look at, the columns, and a pod as (milli-cores, thousandths of each GPU,
GPUs); integers are truncated as in the program that they reproduce. c is what a node has left of
its milli-cores, T of its GPUs in thousandths, and the pod asks for q and t.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

WHOLE = 1000
CPU_SCALE, GPU_SCALE = 128_000, 8_000
"""What the policies take for the largest node: they compare shares of it."""
WRONG_MODEL, TOO_FEW, NOT_FREE = 1, 2, 3
IDLE_NODE, IDLE_GPU, USED_GPU = 33, 50, 100


@compiled
def share_codes(rows: Any, free: Any, count: Any, model: Any, pod: Any, models: Any) -> Any:
    """Return why the GPUs of *rows* can't take a pod, int64 [len(rows)]; 0 = they can."""
    _, milli, gpus = pod
    out = np.zeros(len(rows), np.int64)
    for k in range(len(rows)):
        n = rows[k]
        if count[n] == 0 or not models[model[n]]:
            out[k] = WRONG_MODEL
            continue
        if count[n] < gpus:
            out[k] = TOO_FEW
            continue
        fitting = 0
        for d in range(count[n]):
            if free[n, d] >= milli:
                fitting += 1
        if fitting < gpus:
            out[k] = NOT_FREE
    return out


@compiled
def idle_milli(n: Any, free: Any, count: Any) -> Any:
    """Return T of node *n*; 0 where the cluster has no GPUs, and no columns for them."""
    total = 0
    if n >= len(count):
        return total
    for d in range(count[n]):
        total += free[n, d]
    return total


@compiled
def dot_product_scores(
    rows: Any, allocatable: Any, requested: Any, free: Any, count: Any, pod: Any
) -> Any:
    """Return 100 (1 - (c q / C^2 + T t / D^2) / 2), truncated: small products are good."""
    cpu, milli, gpus = pod
    out = np.zeros(len(rows), np.int64)
    for k in range(len(rows)):
        n = rows[k]
        left = (allocatable[0, n] - requested[0, n]) / CPU_SCALE
        idle = idle_milli(n, free, count) / GPU_SCALE
        product = left * (cpu / CPU_SCALE) + idle * (gpus * milli / GPU_SCALE)
        out[k] = int(100.0 * (1.0 - product / 2))
    return out


@compiled
def best_fit_scores(
    rows: Any, allocatable: Any, requested: Any, free: Any, count: Any, pod: Any
) -> Any:
    """Return 100 (1 - ((c - q) / C + (T - t) / D) / 2), truncated: little left is good."""
    cpu, milli, gpus = pod
    out = np.zeros(len(rows), np.int64)
    for k in range(len(rows)):
        n = rows[k]
        left = (allocatable[0, n] - requested[0, n] - cpu) / CPU_SCALE * 0.5
        idle = (idle_milli(n, free, count) - gpus * milli) / GPU_SCALE * 0.5
        out[k] = int((1.0 - (left + idle)) * 100.0)
    return out


@compiled
def clustering_scores(rows: Any, free: Any, count: Any, holders: Any, kind: Any) -> Any:
    """Return scores that bring pods of one *kind* (row of *holders*) together on full nodes.

    25 (D - T) / D, and 75 more where the node holds pods of this kind alone, 50 where it holds
    others too, 25 where it holds none at all.
    """
    out = np.zeros(len(rows), np.int64)
    for k in range(len(rows)):
        n = rows[k]
        used = 25 * (GPU_SCALE - idle_milli(n, free, count)) // GPU_SCALE
        kinds = 0
        for j in range(holders.shape[1]):
            if holders[n, j] > 0:
                kinds += 1
        if holders[n, kind] > 0:
            out[k] = used + (75 if kinds == 1 else 50)
        else:
            out[k] = used + (25 if kinds == 0 else 0)
    return out


@compiled
def _tightest(free: Any, count: Any, milli: Any, taken: Any) -> Any:
    """Return the GPU with the least left, of those not *taken* with room for *milli*; else -1."""
    best = -1
    for d in range(count):
        if not taken[d] and free[d] >= milli and (best < 0 or free[d] < free[best]):
            best = d
    return best


@compiled
def packing_scores(rows: Any, free: Any, count: Any, pod: Any) -> Any:
    """Return scores that prefer used GPUs, then idle GPUs of used nodes, then idle nodes.

    Among used GPUs those with little left are best, among nodes those with few idle GPUs.
    """
    _, milli, gpus = pod
    out = np.zeros(len(rows), np.int64)
    taken = np.zeros(free.shape[1], np.bool_)
    for k in range(len(rows)):
        n = rows[k]
        idle = 0
        for d in range(count[n]):
            taken[d] = False
            if free[n, d] == WHOLE:
                idle += 1
        if idle == count[n]:
            out[k] = max(IDLE_NODE - idle, idle)
            continue
        fresh = 0
        left = 0
        for _ in range(gpus):
            d = _tightest(free[n], count[n], milli, taken)
            if d < 0:
                break
            taken[d] = True
            left += free[n, d] * 100 // WHOLE
            if free[n, d] == WHOLE:
                fresh += 1
        if fresh > 0:
            out[k] = max(IDLE_GPU - fresh, IDLE_NODE)
        else:
            out[k] = max(USED_GPU - left // 10, IDLE_GPU)
    return out
