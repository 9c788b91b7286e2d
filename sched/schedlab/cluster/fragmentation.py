"""GPU fragmentation F_n(M) of Weng et al. (USENIX ATC'23): free GPU that typical pods can't use.

M is a set of typical pods, each with the share of pods that look like it. What is free of a node's
GPUs is a fragment for those of M that can't use it, by the reason why not (`CAUSES`); F_n(M) is the
mean over M, and the cluster's F the sum over nodes. The paper's program adds in float64 in a fixed
order and compares truncated results, so the order of these sums is part of the definition: with
another one hundreds of placements differ.

The kernels and the constants they use share this file (see `schedlab.cluster.compiled`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.compiled import compiled
from schedlab.cluster.devices import DeviceColumns, Shape
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import CPU

CAUSES: tuple[str, ...] = (
    "gpu_and_cpu_short",
    "gpu_short",
    "usable",
    "cpu_short",
    "no_gpu_wanted",
    "no_gpu_wanted_cpu_short",
    "wrong_model",
)
"""Why free GPU is a fragment, in the order of the paper's program (Q1, Q2, Q3, Q4, XL, XR, NA).

``usable`` (Q3) is no fragment: the GPUs that a typical pod fits on. A pod that asks for no GPU can
use none, so all that is free is a fragment for it, whether it fits (XL) or not (XR).
"""
Q1, Q2, Q3, Q4, XL, XR, NA = range(7)
FULL = 1000
SCORE_SCALE = 100.0

TypicalColumns = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.bool_],
]
"""cpu_milli, gpu_milli, gpu_count, share [M] and accepts [M, models + 1]; see `TypicalPods`."""


@dataclass(frozen=True)
class TypicalPods:
    """The pods by which fragmentation is measured, the most frequent first.

    Attributes
    ----------
    shapes : tuple of (int, int, int, str), length M
        Milli-cores, thousandths of each GPU (0 = none wanted), GPUs, and models.
    share : tuple of float, length M
        Share of pods that look so; the sum is 1 but for rounding.
    """

    shapes: tuple[Shape, ...]
    share: tuple[float, ...]

    @classmethod
    def of(cls, shapes: Iterable[Shape], cover: float = 0.95) -> TypicalPods:
        """Return the most frequent of *shapes*, one for each pod, that cover a share of all.

        Examples
        --------
        >>> TypicalPods.of([(4000, 500, 1, "")] * 3 + [(1000, 0, 0, "")], cover=0.7)
        TypicalPods(shapes=((4000, 500, 1, ''),), share=(1.0,))
        """
        return cls.counted(Counter(shapes), cover)

    @classmethod
    def counted(cls, counts: Mapping[Shape, int], cover: float = 0.95) -> TypicalPods:
        """Return the same from the number of pods of each shape."""
        total = sum(counts.values())
        ranked = sorted(((n, *shape) for shape, n in counts.items() if n), reverse=True)
        kept: list[tuple[int, Shape]] = []
        covered = 0
        for number, cpu, milli, gpus, models in ranked:
            if covered >= cover * total:
                break
            kept.append((number, (cpu, milli, gpus, models)))
            covered += number
        weights = [(number / total) / (covered / total) for number, _ in kept]
        return cls(tuple(shape for _, shape in kept), tuple(weights))

    @property
    def cpu_per_milli(self) -> float:
        """Milli-cores per thousandth of a GPU of those that want GPUs; infinite where none does.

        Examples
        --------
        >>> TypicalPods(((4000, 500, 1, ""), (1000, 0, 0, "")), (0.5, 0.5)).cpu_per_milli
        8.0
        """
        cpu = milli = 0.0
        for shape, share in zip(self.shapes, self.share, strict=True):
            wanted = shape[1] * shape[2]
            milli += share * wanted
            cpu += share * shape[0] if wanted else 0
        return cpu / milli if milli else math.inf

    def columns(self, devices: DeviceColumns) -> TypicalColumns:
        """Return the pods as arrays for the kernels.

        The last of them, bool [M, models + 1], says which model each accepts; its last column
        stands for nodes that have no model.
        """
        numbers = np.array([shape[:3] for shape in self.shapes], np.int64).reshape(-1, 3)
        wanted = [tuple(name for name in shape[3].split("|") if name) for shape in self.shapes]
        accepts = np.array([accepted(devices.model_names, names) for names in wanted], np.bool_)
        return (
            numbers[:, 0].copy(),
            numbers[:, 1].copy(),
            numbers[:, 2].copy(),
            np.array(self.share, np.float64),
            accepts.reshape(len(self.shapes), len(devices.models) + 1),
        )


def accepted(models: Collection[str], wanted: Collection[str]) -> NDArray[np.bool_]:
    """Return which *models*, and no model at all, will do where some are *wanted*: bool [M + 1]."""
    if not wanted:
        return np.ones(len(models) + 1, np.bool_)
    return np.array([*(name in wanted for name in models), False], np.bool_)


def fragments(nodes: NodeColumns, typical: TypicalPods) -> NDArray[np.float64]:
    """Return F_n(M) of each node by cause, float64 [N, 7] in thousandths of a GPU.

    Column `Q3` is what is usable; the others sum up to F_n(M).
    """
    size, devices = nodes.size, nodes.devices
    out = np.zeros((size, len(CAUSES)), np.float64)
    if devices.width:
        cpu = nodes.allocatable[CPU, :size] - nodes.requested[CPU, :size]
        fragment_rows(
            cpu, devices.free, devices.count, devices.model, typical.columns(devices), out
        )
    return out


@compiled
def fragment(cpu: Any, free: Any, count: Any, model: Any, typical: Any, sums: Any) -> Any:
    """Return F_n(M) of a node with *cpu* and *free* GPUs left; *sums* [7] is its scratch."""
    cpus, millis, counts, shares, accepts = typical
    idle = 0
    for d in range(count):
        idle += free[d]
    sums[:] = 0.0
    for m in range(len(cpus)):
        share = shares[m]
        milli = millis[m]
        enough = cpu >= cpus[m]
        if milli == 0:
            sums[XL if enough else XR] += share * idle
            continue
        if not accepts[m, model]:
            sums[NA] += share * idle
            continue
        fitting = 0
        below = 0
        for d in range(count):
            if free[d] >= milli:
                fitting += 1
            else:
                below += free[d]
        if fitting >= counts[m]:
            if enough:
                sums[Q2] += share * below
                sums[Q3] += share * (idle - below)
            else:
                sums[Q4] += share * idle
        elif enough:
            sums[Q2] += share * idle
        else:
            sums[Q1] += share * idle
    return sums[Q1] + sums[Q2] + sums[Q4] + sums[XL] + sums[XR] + sums[NA]


@compiled
def fragment_rows(cpu: Any, free: Any, count: Any, model: Any, typical: Any, out: Any) -> Any:
    """Fill *out* [N, 7] with the fragments of all nodes by cause."""
    for n in range(len(out)):
        fragment(cpu[n], free[n], count[n], model[n], typical, out[n])


@compiled
def stranded(cpu: Any, free: Any, count: Any, cpu_per_milli: Any) -> Any:
    """Return the idle thousandths of a node's GPUs beyond what the CPU that is left can feed."""
    idle = 0
    for d in range(count):
        idle += free[d]
    return max(0.0, idle - cpu / cpu_per_milli)


@compiled
def potential(
    cpu: Any, free: Any, count: Any, model: Any, typical: Any, stranding: Any, sums: Any
) -> Any:
    """Return F_n(M) and what is stranded; *stranding* is (its weight, CPU per thousandth of a GPU).

    A weight of 0 leaves F_n(M) as it is, to the last bit.
    """
    lost = fragment(cpu, free, count, model, typical, sums)
    weight, cpu_per_milli = stranding
    if weight > 0.0 and cpu_per_milli > 0.0:
        lost += weight * stranded(cpu, free, count, cpu_per_milli)
    return lost


@compiled
def gradient_score(before: Any, after: Any) -> Any:
    """Return FGD's score of a change of F: 50 = none, more = less fragmentation; truncated."""
    return int(SCORE_SCALE / (1.0 + np.exp(-(before - after) / FULL)))


@compiled
def _load(free: Any, count: Any, milli: Any, left: Any) -> Any:
    """Copy what is *free* to *left*; return how many GPUs have room for *milli*."""
    fitting = 0
    for d in range(count):
        left[d] = free[d]
        if left[d] >= milli:
            fitting += 1
    return fitting


@compiled
def _take_idle(left: Any, count: Any, gpus: Any) -> Any:
    """Take the first *gpus* idle GPUs."""
    for d in range(count):
        if gpus > 0 and left[d] >= FULL:
            left[d] = 0
            gpus -= 1


@compiled
def _share_gradient(
    before: Any,
    cpu: Any,
    left: Any,
    count: Any,
    model: Any,
    typical: Any,
    stranding: Any,
    milli: Any,
    sums: Any,
) -> Any:
    """Return (score, GPU) of the first of the best GPUs for a share; equal GPUs score alike."""
    best = -1
    device = -1
    for d in range(count):
        known = left[d] < milli
        for e in range(d):
            known = known or left[e] == left[d]
        if known:
            continue
        left[d] -= milli
        after = potential(cpu, left, count, model, typical, stranding, sums)
        score = gradient_score(before, after)
        left[d] += milli
        if score > best:
            best = score
            device = d
    return best, device


@compiled
def gradient_scores(
    rows: Any,
    allocatable: Any,
    requested: Any,
    free: Any,
    count: Any,
    model: Any,
    typical: Any,
    stranding: Any,
    pod: Any,
    models: Any,
    scores: Any,
    chosen: Any,
    stamps: Any,
    stamp: Any,
) -> Any:
    """Score placing a pod on each of *rows* by how it changes the `potential` there.

    *pod* is (milli-cores, thousandths of each GPU, GPUs), *models* [models + 1] says which will do;
    *scores* [N] and *chosen* [N], the GPU of a share, are filled at *rows*. Where the pod doesn't
    fit the score is 0 and the GPU -1. On a node with equal GPUs the first is as good as the others.
    A row that stands there twice is looked at once: *stamps* [N] has the number of the last call,
    *stamp*, that did.
    """
    cpu_milli, milli, gpus = pod
    left = np.zeros(free.shape[1], np.int64)
    sums = np.zeros(7, np.float64)
    for k in range(len(rows)):
        n = rows[k]
        if stamps[n] == stamp:
            continue
        stamps[n] = stamp
        scores[n] = 0
        chosen[n] = -1
        cpu = allocatable[0, n] - requested[0, n]
        if cpu < cpu_milli or (gpus > 0 and not models[model[n]]):
            continue
        if _load(free[n], count[n], milli, left) < gpus:
            continue
        before = potential(cpu, left, count[n], model[n], typical, stranding, sums)
        cpu -= cpu_milli
        if gpus == 1 and milli < FULL:
            scores[n], chosen[n] = _share_gradient(
                before, cpu, left, count[n], model[n], typical, stranding, milli, sums
            )
        else:
            _take_idle(left, count[n], gpus)
            after = potential(cpu, left, count[n], model[n], typical, stranding, sums)
            scores[n] = gradient_score(before, after)


@compiled
def fragment_series(
    cpu: Any, free: Any, count: Any, model: Any, typical: Any, changes: Any, milli: Any, out: Any
) -> Any:
    """Fill *out* [E, 7] with the cluster's fragments by cause after each change of a node.

    *cpu* [N] and *free* [N, G] are what is left before the first change, and are moved on. A row of
    *changes* [E, 3] says (node, milli-cores, GPUs as a bit mask), *milli* [E] how much of each GPU;
    negative amounts are given back.
    """
    size = len(cpu)
    each = np.zeros((size, 7), np.float64)
    total = np.zeros(7, np.float64)
    for n in range(size):
        fragment(cpu[n], free[n], count[n], model[n], typical, each[n])
        total += each[n]
    for e in range(len(changes)):
        n = changes[e, 0]
        cpu[n] -= changes[e, 1]
        for d in range(count[n]):
            if changes[e, 2] >> d & 1:
                free[n, d] -= milli[e]
        total -= each[n]
        fragment(cpu[n], free[n], count[n], model[n], typical, each[n])
        total += each[n]
        out[e] = total
