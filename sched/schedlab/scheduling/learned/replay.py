"""Placing pods one after the other by a model, in compiled code.

What a simulation with latencies of zero does with the policy `learned`, at tens of thousands of
decisions a second: each pod takes the feasible node of the highest value, the first of equals; what
fits nowhere waits until a pod leaves, or is dropped. Training needs this, as it replays the same
pods some thousand times. The tests hold it to the simulation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.compiled import compiled
from schedlab.scheduling.learned.features import Columns
from schedlab.scheduling.learned.kernels import (
    FEATURES,
    NOT_FEASIBLE,
    POTENTIALS,
    WHOLE,
    best_on,
    feasible,
    refresh_potentials,
    to_level,
)
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.problem import Problem

CHANGES, HELD = 0, 1


class Placed(NamedTuple):
    """What became of the pods of a problem.

    Attributes
    ----------
    node : int32 array of shape [P]
        Row of the node, -1 = never placed.
    device : int16 array of shape [P]
        GPU of a share, else -1.
    wait_us : int64 array of shape [P], microseconds
        From arrival to placement; -1 = never placed.
    """

    node: NDArray[np.int32]
    device: NDArray[np.int16]
    wait_us: NDArray[np.int64]


@compiled
def _bring_up(
    ask: Any,
    pod: Any,
    models: Any,
    columns: Any,
    before: Any,
    known: Any,
    model: Any,
    table: Any,
    log: Any,
    end: Any,
    cursors: Any,
    stamps: Any,
    scratch: Any,
    groups: Any,
) -> Any:
    """Bring row *ask* of the *table* [A, N] up to date by the log of nodes that changed."""
    mix, demand, largest = known
    left, sums, features, best = scratch
    values, devices = table
    start = cursors[ask]
    cursors[ask] = end
    size = len(before)
    everything = start < 0
    stamps[size] += 1  # the number of this call: a node that changed twice is looked at once
    stamp = stamps[size]
    for k in range(size if everything else end - start):
        n = k if everything else log[end - 1 - k]
        if not everything:
            if stamps[n] == stamp:
                continue
            stamps[n] = stamp
        if everything and groups[n] >= 0:  # untouched: the same as the first of its group
            first = groups[n]
            if first != n:
                values[ask, n] = values[ask, first]
                devices[ask, n] = devices[ask, first]
                continue
        values[ask, n] = NOT_FEASIBLE
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
            values[ask, n] = to_level(value, model[4])
            devices[ask, n] = device


@compiled
def take_from(n: Any, device: Any, pod: Any, sign: Any, columns: Any, mask: Any) -> Any:
    """Take what a pod asks of node *n* (*sign* 1) or give it back (-1); return its GPUs as bits."""
    _, cpu, _, memory, free, count, _ = columns
    cpu[n] -= sign * pod[0]
    memory[n] -= sign * pod[1]
    if sign > 0:
        mask = 0
        gpus = pod[3]
        if device >= 0:
            mask = 1 << device
        elif gpus > 0:
            for d in range(count[n]):
                if gpus > 0 and free[n, d] >= WHOLE:
                    mask |= 1 << d
                    gpus -= 1
    for d in range(count[n]):
        if mask >> d & 1:
            free[n, d] -= sign * pod[2]
    return mask


@compiled
def _arg_max(values: Any) -> Any:
    """Return the first index of the largest value; -1 where nothing is feasible."""
    best = NOT_FEASIBLE
    at = -1
    for n in range(len(values)):
        if values[n] > best:
            best = values[n]
            at = n
    return at


@compiled
def _push(heap: Any, size: Any, time: Any, pod: Any) -> Any:
    """Add (*time*, *pod*) to a binary heap [.., 2] of *size* entries."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent, 0] < time or (heap[parent, 0] == time and heap[parent, 1] < pod):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at, 0] = time
    heap[at, 1] = pod


@compiled
def _pop(heap: Any, size: Any) -> Any:
    """Take the smallest entry off a heap of *size* entries; return its pod."""
    found = heap[0, 1]
    time, pod = heap[size - 1, 0], heap[size - 1, 1]
    at = 0
    while 2 * at + 1 < size - 1:
        child = 2 * at + 1
        right = child + 1
        if right < size - 1 and (
            heap[right, 0] < heap[child, 0]
            or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        if time < heap[child, 0] or (time == heap[child, 0] and pod < heap[child, 1]):
            break
        heap[at] = heap[child]
        at = child
    heap[at, 0] = time
    heap[at, 1] = pod
    return found


@compiled
def _state(asks: Any, columns: Any, known: Any, groups: Any, changes: Any) -> Any:
    """Return what a replay keeps: potentials, the table of values, cursors, the log, scratch."""
    size = len(columns[0])
    before = np.zeros((size, POTENTIALS), np.float64)
    refresh_potentials(np.arange(size), columns, known[0], known[1], before)
    table = (
        np.full((len(asks), size), NOT_FEASIBLE, np.int64),
        np.full((len(asks), size), -1, np.int16),
    )
    cursors = np.full(len(asks), -1, np.int64)
    stamps = np.zeros(size + 1, np.int64)
    log = np.zeros(changes, np.int32)
    width = max(1, columns[4].shape[1])
    scratch = (
        np.zeros(width, np.int64),
        np.zeros(7, np.float64),
        np.zeros(FEATURES, np.float64),
        np.zeros(FEATURES, np.float64),
    )
    return before, table, cursors, stamps, log, scratch, groups


@compiled
def _attempt(
    ask: Any, asks: Any, accepts: Any, columns: Any, known: Any, model: Any, state: Any, end: Any
) -> Any:
    """Return the best node for a request, after *end* changes; -1 = it fits nowhere."""
    before, table, cursors, stamps, log, scratch, groups = state
    if cursors[ask] != end:
        _bring_up(
            ask,
            asks[ask],
            accepts[ask],
            columns,
            before,
            known,
            model,
            table,
            log,
            end,
            cursors,
            stamps,
            scratch,
            groups,
        )
    return _arg_max(table[0][ask])


@compiled
def _leave_group(groups: Any, n: Any) -> Any:
    """Take node *n* out of its group of like nodes; the next one leads it then."""
    lead = groups[n]
    groups[n] = -1
    if lead != n:
        return
    follower = -1
    for k in range(n + 1, len(groups)):
        if groups[k] == n:
            follower = k if follower < 0 else follower
            groups[k] = follower


@compiled
def _changed(n: Any, columns: Any, known: Any, state: Any, counts: Any) -> Any:
    """Note that node *n* changed."""
    scratch_row = state[5][0][:1]
    scratch_row[0] = n
    _leave_group(state[6], n)
    refresh_potentials(scratch_row, columns, known[0], known[1], state[0])
    state[4][counts[CHANGES]] = n
    counts[CHANGES] += 1


@compiled
def _leave(
    now: Any, pods: Any, asks: Any, columns: Any, known: Any, state: Any, held: Any, counts: Any
) -> Any:
    """Let all pods leave whose time has come; *held* is (heap, masks, nodes)."""
    heap, masks, nodes = held
    while counts[HELD] > 0 and heap[0, 0] == now:
        p = _pop(heap, counts[HELD])
        counts[HELD] -= 1
        take_from(nodes[p], -1, asks[pods[0][p]], -1, columns, masks[p])
        _changed(nodes[p], columns, known, state, counts)


@compiled
def _place(
    p: Any,
    now: Any,
    pods: Any,
    asks: Any,
    accepts: Any,
    columns: Any,
    known: Any,
    model: Any,
    state: Any,
    held: Any,
    counts: Any,
    out: Any,
) -> Any:
    """Place pod *p* where the model says; return whether it fits anywhere."""
    ask_of, arrival, duration = pods
    heap, masks, nodes = held
    ask = ask_of[p]
    n = _attempt(ask, asks, accepts, columns, known, model, state, counts[CHANGES])
    if n < 0:
        return False
    nodes[p] = n
    out[1][p] = state[1][1][ask, n]
    out[2][p] = now - arrival[p]
    masks[p] = take_from(n, out[1][p], asks[ask], 1, columns, 0)
    _changed(n, columns, known, state, counts)
    if duration[p] >= 0:
        _push(heap, counts[HELD], now + duration[p], p)
        counts[HELD] += 1
    return True


@compiled
def replay_kernel(
    asks: Any,
    accepts: Any,
    pods: Any,
    columns: Any,
    known: Any,
    groups: Any,
    model: Any,
    out: Any,
) -> Any:
    """Place pods as they come and leave; fill *out*: node, GPU and wait, each [P].

    What fits nowhere is tried again, in order of arrival, whenever pods have left; once a request
    fits nowhere, none like it is tried in that round. Pods that leave go before pods that arrive at
    the same time.
    """
    ask_of, arrival, _ = pods
    count = len(ask_of)
    state = _state(asks, columns, known, groups, 2 * count)
    held = (np.zeros((count + 1, 2), np.int64), np.zeros(count, np.int64), out[0])
    counts = np.zeros(2, np.int64)
    waiting = np.zeros(count, np.int64)
    hopeless = np.zeros(len(asks), np.bool_)
    queued = p = 0
    while p < count or (counts[HELD] > 0 and queued > 0):
        if counts[HELD] > 0 and (p >= count or held[0][0, 0] <= arrival[p]):
            now = held[0][0, 0]
            _leave(now, pods, asks, columns, known, state, held, counts)
            hopeless[:] = False
            kept = 0
            for k in range(queued):
                q = waiting[k]
                if hopeless[ask_of[q]] or not _place(
                    q, now, pods, asks, accepts, columns, known, model, state, held, counts, out
                ):
                    hopeless[ask_of[q]] = True
                    waiting[kept] = q
                    kept += 1
            queued = kept
            continue
        if not _place(
            p, arrival[p], pods, asks, accepts, columns, known, model, state, held, counts, out
        ):
            waiting[queued] = p
            queued += 1
        p += 1
    return counts[CHANGES]


def like_nodes(columns: Columns) -> NDArray[np.int64]:
    """Return the first node that is in the same state as each, int64 [N]."""
    rows = np.column_stack([column.astype(np.int64) for column in columns])
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    leads: NDArray[np.int64] = first[group.ravel()].astype(np.int64)
    return leads


def replay(problem: Problem, model: Model) -> Placed:
    """Place the pods of a problem by a model.

    Parameters
    ----------
    problem : Problem
        The pods.
    model : Model
        Says how good a node is for a pod.

    Returns
    -------
    Placed
        Where each went.
    """
    return replay_on(problem, model, problem.fresh_columns())


def replay_on(problem: Problem, model: Model, columns: Columns) -> Placed:
    """Place the pods of a problem on nodes in some state, which is changed."""
    pods = len(problem.ask)
    placed = Placed(
        np.full(pods, -1, np.int32), np.full(pods, -1, np.int16), np.full(pods, -1, np.int64)
    )
    replay_kernel(
        problem.asks,
        problem.accepts,
        (problem.ask, problem.arrival_us, problem.duration_us),
        columns,
        problem.known,
        like_nodes(columns),
        model.weights,
        (placed.node, placed.device, placed.wait_us),
    )
    return placed
