"""Compiled features and values of placing a pod; constants and feature order stand in this file.

The state of a node is turned into *potentials*: numbers that say what is left there and what it is
good for. A feature is the change of a potential by placing the pod, or what is left afterwards.
`features.FEATURES` documents them in the order of the constants below.

A pod is ``(cpu, memory, milli, gpus)``: milli-cores, bytes, thousandths of each GPU, and GPUs. A
node is given by columns of all nodes (``columns``, see `features.Columns`) and its row. ``mix`` is
what `cluster.fragmentation.TypicalPods.columns` makes of the pods that the cluster gets, and
``demand`` what follows from them and the nodes (see `features.Demand`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled
from schedlab.cluster.fragmentation import fragment

WHOLE = 1000
POTENTIALS = 22
FEATURES = 29
KINDS = 4
STARVED_GPU, STARVED_CPU, IDLE_GPUS, PARTIAL_GPU, IDLE_NODE = 7, 8, 9, 10, 11
CPU_SQUARE, GPU_SQUARE, MEMORY_SQUARE, CPU_GPU, CPU_MEMORY_GAP = 12, 13, 14, 15, 16
IDLE_GROUP, ROOM, STRANDED_GPU, SCARCE_GPU, WANTED_GPU = 17, 18, 19, 20, 21
CPU_LEFT, GPU_LEFT, MEMORY_LEFT, DEVICE_LEFT, DOMINANT_LEFT = 22, 23, 24, 25, 26
CPU_SHARE_LEFT, MEMORY_SHARE_LEFT = 27, 28
NOT_FEASIBLE = -(1 << 62)
LIMIT = float(1 << 40)
CENTRE = 1 << 40
CPU, MEMORY = 0, 1


@compiled
def kind_of(milli: Any, gpus: Any) -> Any:
    """Return which of `features.KINDS` a pod is: no GPU, a share, one GPU, several."""
    if gpus == 0:
        return 0
    if milli < WHOLE:
        return 1
    return 2 if gpus == 1 else 3


@compiled
def _room(cpu: Any, free: Any, count: Any, model: Any, mix: Any) -> Any:
    """Return how many GPUs' worth of each typical pod would fit, weighted by their share."""
    cpus, millis, counts, shares, accepts = mix
    idle = 0
    for d in range(count):  # most GPUs are idle or full: only the others need a division each
        if free[d] == WHOLE:
            idle += 1
    room = 0.0
    for m in range(len(cpus)):
        milli = millis[m]
        if milli == 0 or not accepts[m, model]:
            continue
        slots = idle * (WHOLE // milli)
        for d in range(count):
            if milli <= free[d] < WHOLE:
                slots += free[d] // milli
        slots = slots // counts[m]
        if cpus[m] > 0 and slots > 0:
            slots = min(slots, cpu // cpus[m])
        room += shares[m] * slots * milli * counts[m]
    return room / WHOLE


@compiled
def _gpu_potentials(
    n: Any, cpu: Any, memory: Any, free: Any, count: Any, demand: Any, out: Any
) -> Any:
    """Fill what the idle GPUs of a node and its CPU are worth together; return what is free."""
    left = 0
    idle = 0
    for d in range(count):
        left += free[d]
        if free[d] == WHOLE:
            idle += 1
    of_all, cpu_ratio, memory_ratio, scarcity, wanted = demand
    out[STARVED_GPU] = 0.0
    out[STARVED_CPU] = 0.0
    if of_all > 0:
        gap = left / WHOLE - cpu / (of_all * WHOLE)
        out[STARVED_GPU if gap > 0 else STARVED_CPU] = abs(gap)
    fed = 1.0 * left
    if cpu_ratio > 0:
        fed = min(fed, cpu / cpu_ratio)
    if memory_ratio > 0:
        fed = min(fed, memory / memory_ratio)
    out[STRANDED_GPU] = (left - fed) / WHOLE
    out[SCARCE_GPU] = out[STRANDED_GPU] * scarcity
    out[WANTED_GPU] = left / WHOLE * wanted[n]
    out[IDLE_GPUS] = idle
    out[PARTIAL_GPU] = left / WHOLE - idle
    out[IDLE_GROUP] = idle * idle / 8.0
    return left


@compiled
def potentials(
    n: Any,
    cpu_all: Any,
    cpu: Any,
    memory_all: Any,
    memory: Any,
    free: Any,
    count: Any,
    model: Any,
    mix: Any,
    demand: Any,
    sums: Any,
    out: Any,
) -> Any:
    """Fill *out* [POTENTIALS] with the potentials of node *n*; *sums* [7] is scratch."""
    if count > 0:
        fragment(cpu, free, count, model, mix, sums)
        for q in range(7):
            out[q] = sums[q] / WHOLE
        left = _gpu_potentials(n, cpu, memory, free, count, demand, out)
        out[ROOM] = _room(cpu, free, count, model, mix)
        gpu_share = left / (WHOLE * count)
    else:
        out[:] = 0.0
        gpu_share = 0.0
    cpu_share = cpu / cpu_all if cpu_all > 0 else 0.0
    memory_share = memory / memory_all if memory_all > 0 else 0.0
    out[IDLE_NODE] = 1.0 if cpu == cpu_all and memory == memory_all else 0.0
    out[CPU_SQUARE] = cpu_share * cpu_share
    out[GPU_SQUARE] = gpu_share * gpu_share
    out[MEMORY_SQUARE] = memory_share * memory_share
    out[CPU_GPU] = cpu_share * gpu_share
    out[CPU_MEMORY_GAP] = abs(cpu_share - memory_share)


@compiled
def _left_features(cpu: Any, memory: Any, gpu: Any, largest: Any, out: Any) -> Any:
    """Fill the shares of the largest node that are left after placing."""
    out[CPU_LEFT] = cpu / largest[0]
    out[MEMORY_LEFT] = memory / largest[1]
    out[GPU_LEFT] = gpu / largest[2]
    out[DOMINANT_LEFT] = max(out[CPU_LEFT], out[MEMORY_LEFT], out[GPU_LEFT])


@compiled
def after_features(
    n: Any,
    pod: Any,
    left: Any,
    device_left: Any,
    columns: Any,
    before: Any,
    mix: Any,
    demand: Any,
    largest: Any,
    sums: Any,
    out: Any,
) -> Any:
    """Fill *out* [FEATURES] for a pod on node *n* whose GPUs are *left* so after placing."""
    cpu_all, cpu, memory_all, memory, _, count, model = columns
    cpu_left = cpu[n] - pod[0]
    memory_left = memory[n] - pod[1]
    potentials(
        n,
        cpu_all[n],
        cpu_left,
        memory_all[n],
        memory_left,
        left,
        count[n],
        model[n],
        mix,
        demand,
        sums,
        out[:POTENTIALS],
    )
    for f in range(POTENTIALS):
        out[f] -= before[n, f]
    total = 0
    for d in range(count[n]):
        total += left[d]
    _left_features(cpu_left, memory_left, total, largest, out)
    out[CPU_SHARE_LEFT] = cpu_left / cpu_all[n] if cpu_all[n] > 0 else 0.0
    out[MEMORY_SHARE_LEFT] = memory_left / memory_all[n] if memory_all[n] > 0 else 0.0
    out[DEVICE_LEFT] = device_left / WHOLE


@compiled
def value_of(features: Any, kind: Any, model: Any) -> Any:
    """Return what a model says of one vector of features."""
    linear, hidden, bias, top, _ = model
    value = 0.0
    for f in range(FEATURES):
        value += linear[kind, f] * features[f]
    for h in range(len(top)):
        inner = bias[kind, h]
        for f in range(FEATURES):
            inner += hidden[h, f] * features[f]
        value += top[h] * np.tanh(inner)
    return value


@compiled
def feasible(n: Any, pod: Any, models: Any, columns: Any) -> Any:
    """Return whether CPU, memory and GPUs of node *n* have room for a pod."""
    _, cpu, _, memory, free, count, model = columns
    if cpu[n] < pod[0] or memory[n] < pod[1]:
        return False
    if pod[3] == 0:
        return True
    if count[n] < pod[3] or not models[model[n]]:
        return False
    fitting = 0
    for d in range(count[n]):
        if free[n, d] >= pod[2]:
            fitting += 1
    return fitting >= pod[3]


@compiled
def place_idle(left: Any, count: Any, gpus: Any) -> Any:
    """Take the first *gpus* idle GPUs."""
    for d in range(count):
        if gpus > 0 and left[d] >= WHOLE:
            left[d] = 0
            gpus -= 1


@compiled
def best_on(
    n: Any,
    pod: Any,
    columns: Any,
    before: Any,
    mix: Any,
    demand: Any,
    largest: Any,
    model: Any,
    left: Any,
    sums: Any,
    features: Any,
    best: Any,
) -> Any:
    """Return (value, GPU of a share or -1) of node *n*, where the pod fits; fill *best* [FEATURES].

    Each GPU that has room for a share is tried, equal ones once; the first of the best is taken.
    """
    free, count = columns[4], columns[5]
    kind = kind_of(pod[2], pod[3])
    for d in range(count[n]):
        left[d] = free[n, d]
    if kind != 1:
        place_idle(left, count[n], pod[3])
        after_features(n, pod, left, 0, columns, before, mix, demand, largest, sums, best)
        return value_of(best, kind, model), -1
    device = -1
    most = 0.0
    for d in range(count[n]):
        known = left[d] < pod[2]
        for e in range(d):
            known = known or left[e] == left[d]
        if known:
            continue
        left[d] -= pod[2]
        after_features(n, pod, left, left[d], columns, before, mix, demand, largest, sums, features)
        left[d] += pod[2]
        value = value_of(features, kind, model)
        if device < 0 or value > most:
            most = value
            device = d
            best[:] = features
    return most, device


@compiled
def refresh_potentials(rows: Any, columns: Any, mix: Any, demand: Any, before: Any) -> Any:
    """Fill *before* [N, POTENTIALS] at *rows* with the potentials of the nodes as they are."""
    cpu_all, cpu, memory_all, memory, free, count, model = columns
    sums = np.zeros(7, np.float64)
    for k in range(len(rows)):
        n = rows[k]
        potentials(
            n,
            cpu_all[n],
            cpu[n],
            memory_all[n],
            memory[n],
            free[n],
            count[n],
            model[n],
            mix,
            demand,
            sums,
            before[n],
        )


@compiled
def feature_rows(
    rows: Any,
    pod: Any,
    models: Any,
    columns: Any,
    before: Any,
    mix: Any,
    demand: Any,
    largest: Any,
    model: Any,
    values: Any,
    devices: Any,
    out: Any,
) -> Any:
    """Fill *values*, *devices* [len(rows)] and *out* [FEATURES, len(rows)]; see `score_rows`."""
    width = max(1, columns[4].shape[1])
    left = np.zeros(width, np.int64)
    sums = np.zeros(7, np.float64)
    features = np.zeros(FEATURES, np.float64)
    best = np.zeros(FEATURES, np.float64)
    for k in range(len(rows)):
        n = rows[k]
        if not feasible(n, pod, models, columns):
            values[k] = NOT_FEASIBLE
            devices[k] = -1
            out[:, k] = np.nan
            continue
        value, device = best_on(
            n, pod, columns, before, mix, demand, largest, model, left, sums, features, best
        )
        values[k] = to_level(value, model[4])
        devices[k] = device
        out[:, k] = best


@compiled
def to_level(value: Any, levels: Any) -> Any:
    """Return a value as an integer: *levels* steps to one, rounded down."""
    return int(np.floor(min(max(value * levels, -LIMIT), LIMIT)))


@compiled
def score_rows(
    rows: Any,
    pod: Any,
    models: Any,
    columns: Any,
    before: Any,
    mix: Any,
    demand: Any,
    largest: Any,
    model: Any,
    values: Any,
    devices: Any,
) -> Any:
    """Fill *values* and *devices*, both [len(rows)], for placing a pod on each of *rows*.

    A value is an integer, `NOT_FEASIBLE` where the pod has no room; a device is the GPU of a share.
    """
    width = max(1, columns[4].shape[1])
    left = np.zeros(width, np.int64)
    sums = np.zeros(7, np.float64)
    features = np.zeros(FEATURES, np.float64)
    best = np.zeros(FEATURES, np.float64)
    for k in range(len(rows)):
        n = rows[k]
        values[k] = NOT_FEASIBLE
        devices[k] = -1
        if feasible(n, pod, models, columns):
            value, device = best_on(
                n,
                pod,
                columns,
                before,
                mix,
                demand,
                largest,
                model,
                left,
                sums,
                features,
                best,
            )
            values[k] = to_level(value, model[4])
            devices[k] = device


@compiled
def follow(
    changed: Any, allocatable: Any, requested: Any, columns: Any, mix: Any, demand: Any, before: Any
) -> Any:
    """Take in what is left on the nodes that *changed*, and what they are worth."""
    for k in range(len(changed)):
        n = changed[k]
        columns[1][n] = allocatable[CPU, n] - requested[CPU, n]
        columns[3][n] = allocatable[MEMORY, n] - requested[MEMORY, n]
    refresh_potentials(changed, columns, mix, demand, before)


@compiled
def plugin_scores(
    changed: Any,
    rows: Any,
    pod: Any,
    models: Any,
    allocatable: Any,
    requested: Any,
    columns: Any,
    before: Any,
    mix: Any,
    demand: Any,
    largest: Any,
    model: Any,
) -> Any:
    """Take in what *changed*, then return scores of *rows*: `CENTRE` plus steps; 0 = no room.

    One call for both: what it costs to enter compiled code is more than one node's work.
    """
    follow(changed, allocatable, requested, columns, mix, demand, before)
    values = np.zeros(len(rows), np.int64)
    devices = np.zeros(len(rows), np.int64)
    score_rows(rows, pod, models, columns, before, mix, demand, largest, model, values, devices)
    for k in range(len(rows)):
        feasible_here = values[k] != NOT_FEASIBLE
        values[k] = min(max(CENTRE + values[k], 0), 2 * CENTRE) if feasible_here else 0
    return values
