"""Compiled dry runs of preemption, where only resources decide.

`dry_run` does for all nodes that could help what DefaultPreemption's plain form does with trials on
the cluster's state: it is tested to find the same. See `resource_preemption` for when it may stand
in, and for the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

PODS = 3  # row of the resource that counts pods, as in `cluster.vocabulary`
NO_VICTIMS = -1
NOT_LOOKED_AT = -2
UNKNOWN = -3
RAISED = 1 << 31  # added to priorities before they are summed
NOT_STARTED = 1 << 62


@compiled
def helpful_rows(rows: Any, rejected_by: Any, fit: int, asked: Any, allocatable: Any) -> Any:
    """Return those of *rows* that filter number *fit* rejects although an empty node would do."""
    found = np.empty(len(rows), np.int64)
    count = 0
    for k in range(len(rows)):
        if rejected_by[k] != fit:
            continue
        n = rows[k]
        helpful = True
        for i in range(asked.shape[1]):
            r = asked[0, i]
            if r != PODS and asked[1, i] > allocatable[r, n]:
                helpful = False
        if helpful:
            found[count] = n
            count += 1
    return found[:count]


@compiled
def touched_rows(
    rows: Any, pods: Any, ids: Any, counts: Any, priority: Any, preemptor: int, kinds: Any
) -> Any:
    """Return which of *rows* have a pod of lower priority whose class is of kind 1.

    Also returned are the classes among them whose kind is not known (-1), each once.
    """
    touched = np.zeros(len(rows), np.bool_)
    unknown = np.empty(len(kinds), np.int64)
    number = 0
    for k in range(len(rows)):
        n = rows[k]
        for s in range(counts[n]):
            c = ids[n, s]
            if priority[c] >= preemptor:
                continue
            if kinds[c] == 1:
                touched[k] = True
            elif kinds[c] == -1:
                unknown[number] = c
                number += 1
                kinds[c] = 0
    return touched, unknown[:number]


@compiled
def lacking(asked: Any, used: Any, n: int, allocatable: Any) -> Any:
    """Return a bit mask of what is asked for and not free on node *n*, bit i for the i-th."""
    code = np.int64(0)
    for i in range(asked.shape[1]):
        r = asked[0, i]
        if asked[1, i] > allocatable[r, n] - used[i]:
            code |= np.int64(1) << i
    return code


@compiled
def started(start: Any, pod: int) -> Any:
    """Return when a pod was started; not yet is later than anything."""
    return start[pod] if pod < len(start) and start[pod] >= 0 else NOT_STARTED


@compiled
def pick_lower(
    n: int,
    pods: Any,
    ids: Any,
    counts: Any,
    priority: Any,
    preemptor: int,
    start: Any,
    lower: Any,
) -> Any:
    """List the pods of node *n* that have a lower priority, the most important first.

    The rows of *lower* are pod, class, priority and start; returned is how many there are.
    """
    count = 0
    for s in range(counts[n]):
        c = ids[n, s]
        rank = priority[c]
        if rank >= preemptor:
            continue
        pod = pods[n, s]
        since = started(start, pod)
        j = count
        while j > 0 and (
            lower[2, j - 1] < rank
            or (
                lower[2, j - 1] == rank
                and (
                    lower[3, j - 1] > since or (lower[3, j - 1] == since and lower[0, j - 1] > pod)
                )
            )
        ):
            for i in range(4):
                lower[i, j] = lower[i, j - 1]
            j -= 1
        lower[0, j], lower[1, j], lower[2, j], lower[3, j] = pod, c, rank, since
        count += 1
    return count


@compiled
def violations_of(
    lower: Any, count: int, first: Any, length: Any, budgets: Any, left: Any, violates: Any
) -> None:
    """Note which of the first *count* of *lower* violate a budget; *left* is as it was after."""
    for i in range(count):
        c = lower[1, i]
        violates[i] = False
        for b in range(first[c], first[c] + length[c]):
            left[budgets[b]] -= 1
            if left[budgets[b]] < 0:
                violates[i] = True
    for i in range(count):
        c = lower[1, i]
        for b in range(first[c], first[c] + length[c]):
            left[budgets[b]] += 1


@compiled
def better(one: Any, other: Any) -> Any:
    """Return whether a candidate's list of what speaks against it is the smaller."""
    for i in range(len(one)):
        if one[i] != other[i]:
            return one[i] < other[i]
    return False


@compiled
def chains(rows: Any, size: int) -> Any:
    """Return the first nomination of each of *size* nodes and the next of each, -1 = no more."""
    heads = np.full(size if len(rows) else 0, -1, np.int64)
    nexts = np.full(len(rows), -1, np.int64)
    for m in range(len(rows)):
        nexts[m] = heads[rows[m]]
        heads[rows[m]] = m
    return heads, nexts


@compiled
def shift(used: Any, asked: Any, requests: Any, c: int, sign: int) -> None:
    """Add (*sign* 1) or take away (-1) what a pod of class *c* asks for."""
    for i in range(asked.shape[1]):
        used[i] += sign * requests[c, asked[0, i]]


@compiled
def reprieve(
    n: int,
    lower: Any,
    count: int,
    requests: Any,
    violates: Any,
    asked: Any,
    used: Any,
    allocatable: Any,
    out: Any,
) -> Any:
    """Let back in who fits beside the preemptor; note who stays *out*, return the violations."""
    violations = 0
    for turn in range(2):
        for j in range(count):
            if violates[j] != (turn == 0):
                continue
            shift(used, asked, requests, lower[1, j], 1)
            out[j] = lacking(asked, used, n, allocatable) != 0
            if out[j]:
                shift(used, asked, requests, lower[1, j], -1)
                violations += turn == 0
    return violations


@compiled
def take_down(lower: Any, count: int, out: Any, victims: Any, first: int, against: Any) -> Any:
    """Write the victims from place *first* on; return the place after the last.

    *against* gets what speaks against the candidate, but for the violations: the highest priority,
    the sum of the raised ones, the number of victims, and minus the earliest start of those of the
    highest priority.
    """
    end = first
    against[1:] = 0
    against[4] = -NOT_STARTED
    for j in range(count):
        if out[j]:
            rank = lower[2, j]
            if end == first:
                against[1] = rank
            if rank == against[1]:
                against[4] = max(against[4], -lower[3, j])
            against[2] += rank + RAISED
            against[3] += 1
            victims[end] = lower[0, j]
            end += 1
    return end


@compiled
def waiting(n: int, pods: Any, counts: Any, start: Any) -> Any:
    """Return how many pods of node *n* have not been started."""
    number = 0
    for s in range(counts[n]):
        pod = pods[n, s]
        number += pod >= len(start) or start[pod] < 0
    return number


@compiled
def recall(n: int, memory: Any, pods: Any, counts: Any, start: Any, against: Any) -> Any:
    """Return what is remembered of node *n*, `UNKNOWN` if nothing that still holds.

    Whatever changes on a node is forgotten by the caller, but that a pod has started: where some
    had not, as many must be left. *memory* is as in `dry_run`, one array in columns: outcome, pods
    that had not started, and what speaks against the candidate.
    """
    outcome = memory[n, 0]
    if outcome == UNKNOWN:
        return outcome
    if memory[n, 1] > 0 and waiting(n, pods, counts, start) != memory[n, 1]:
        return UNKNOWN
    for i in range(5):
        against[i] = memory[n, 2 + i]
    return outcome


@compiled
def remember(
    n: int, memory: Any, outcome: int, pods: Any, counts: Any, start: Any, against: Any
) -> None:
    """Note what was found on node *n* for `recall`."""
    memory[n, 0] = outcome
    memory[n, 1] = waiting(n, pods, counts, start)
    for i in range(5):
        memory[n, 2 + i] = against[i]


@compiled
def weigh(
    n: int,
    asked: Any,
    preemptor: int,
    allocatable: Any,
    requested: Any,
    pods: Any,
    ids: Any,
    counts: Any,
    priority: Any,
    requests: Any,
    first: Any,
    length: Any,
    budgets: Any,
    left: Any,
    start: Any,
    guest: int,
    guests: Any,
    nexts: Any,
    lower: Any,
    violates: Any,
    out: Any,
    used: Any,
    against: Any,
) -> Any:
    """Try node *n*: return the outcome as in `dry_run` and how many of *lower* there are.

    Where the pod gets in, *out* tells who of *lower* has to go, and the first of *against* how many
    budgets that violates. Pods nominated to the node are followed from *guest* along *nexts*.
    """
    count = pick_lower(n, pods, ids, counts, priority, preemptor, start, lower)
    if count == 0:
        return NO_VICTIMS, count
    for i in range(len(used)):
        used[i] = requested[asked[0, i], n]
    for j in range(count):
        shift(used, asked, requests, lower[1, j], -1)
    while guest >= 0:
        shift(used, asked, requests, guests[guest], 1)
        guest = nexts[guest]
    outcome = lacking(asked, used, n, allocatable)
    if outcome == 0:
        if len(left):
            violations_of(lower, count, first, length, budgets, left, violates)
        against[0] = reprieve(n, lower, count, requests, violates, asked, used, allocatable, out)
    return outcome, count


@compiled
def dry_run(
    rows: Any,
    begin: int,
    wanted: int,
    asked: Any,
    preemptor: int,
    columns: Any,
    slots: Any,
    classes: Any,
    covers: Any,
    allowed: Any,
    start: Any,
    nominated: Any,
    memory: Any,
) -> Any:
    """Look for victims on *rows*, from place *begin* on and around, until *wanted* are candidates.

    Parameters
    ----------
    rows : int64 array of shape [H]
        Nodes that could help.
    begin : int
        Place in *rows* to begin with.
    wanted : int
        How many candidates end the search.
    asked : int64 array of shape [2, W]
        Resources that the pod asks for, and how much.
    preemptor : int
        Its priority.
    columns : tuple of two int64 arrays of shape [R, N]
        ``allocatable`` and ``requested``.
    slots : tuple of (int64 array [N, S], int64 array [N, S], int64 array [N])
        Pods on each node, their classes, how many there are.
    classes : tuple of (int64 array of shape [C], int64 array of shape [C, R])
        Priority and requests of each class.
    covers : tuple of three int64 arrays
        The budgets that cover a class: first place and number of places [C] in a list of budgets.
    allowed : int64 array of shape [B]
        Disruptions that each budget allows.
    start : int64 array of shape [P]
        When each pod was started, -1 = not yet.
    nominated : tuple of (int64 array of shape [M], int64 array of shape [M])
        Nodes that other pods are nominated to, not less important ones, and their classes.
    memory : int64 array of shape [N, 7] or [0, 7]
        What earlier calls found for the same *asked*, *preemptor*, *covers* and *allowed*, on nodes
        that have not changed since (`UNKNOWN` in the first column of others); see `recall`.

    Returns
    -------
    span : tuple of (int, int, int)
        Place of the best candidate in *found*, -1 = there is none; where its victims begin and end.
    found : int64 array of shape [F, 2]
        Row and violated budgets of each candidate, in the order of visit.
    ends : int64 array of shape [F + 1]
        Where the victims of each begin and end in *victims*: nowhere if it was remembered.
    victims : int64 array
        Pods, the most important of a node first.
    outcomes : int64 array of shape [H]
        For the nodes looked at, in the order of visit: 0 = a candidate, `NO_VICTIMS`, or the bit
        mask of what is lacking with all victims gone, or `NOT_LOOKED_AT`.
    """
    allocatable, requested = columns
    priority, requests = classes
    pods, ids, counts = slots
    first, length, budgets = covers
    guests = nominated[1]
    heads, nexts = chains(nominated[0], len(counts))
    size, widest = len(rows), pods.shape[1]
    most = min(size, 2 * wanted) + 1
    outcomes = np.full(size, NOT_LOOKED_AT, np.int64)
    found = np.empty((most, 2), np.int64)
    ends = np.zeros(most + 1, np.int64)
    victims = np.empty((most + 1) * widest, np.int64)
    against, lowest = np.empty(5, np.int64), np.empty(5, np.int64)
    lower = np.empty((4, widest), np.int64)
    violates, out = np.zeros(widest, np.bool_), np.zeros(widest, np.bool_)
    used = np.empty(asked.shape[1], np.int64)
    left = allowed.copy()
    best, total, clean = -1, 0, 0
    for at in range(size + 1):
        # the last turn is for the victims of a best candidate that was remembered
        again = at == size or (clean and total >= wanted)
        if again and (best < 0 or ends[best] < ends[best + 1]):
            break
        turn = begin + at
        n = found[best, 0] if again else rows[turn - size if turn >= size else turn]
        guest = heads[n] if len(heads) else -1
        kept = len(memory) > 0 and guest < 0 and not again
        end = ends[total]
        outcome = UNKNOWN
        if kept:
            outcome = recall(n, memory, pods, counts, start, against)
        if outcome == UNKNOWN:
            outcome, count = weigh(
                n,
                asked,
                preemptor,
                allocatable,
                requested,
                pods,
                ids,
                counts,
                priority,
                requests,
                first,
                length,
                budgets,
                left,
                start,
                guest,
                guests,
                nexts,
                lower,
                violates,
                out,
                used,
                against,
            )
            if outcome == 0:
                end = take_down(lower, count, out, victims, end, against)
            if kept:
                remember(n, memory, outcome, pods, counts, start, against)
        if again:
            return (best, ends[total], end), found[:total], ends[: total + 1], victims, outcomes
        outcomes[at] = outcome
        if outcome != 0 or (against[0] and total - clean >= wanted):
            continue
        ends[total + 1] = end
        found[total, 0], found[total, 1] = n, against[0]
        if best < 0 or better(against, lowest):
            best = total
            lowest[:] = against
        total += 1
        clean += against[0] == 0
    span = (best, ends[max(best, 0)], ends[max(best, 0) + 1])
    return span, found[:total], ends[: total + 1], victims, outcomes
