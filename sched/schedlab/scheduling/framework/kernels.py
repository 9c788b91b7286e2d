"""Compiled leaf kernels: refresh the rows that changed, then choose, in one call per decision.

A call from Python costs about 0.65 us with ten arrays, so a decision is one call. Every kernel has
a plain numpy counterpart (the plugins' own `filter` and `score`, or the formula in `heuristics`)
against which it is tested.

Filter codes are bit masks of resources that do not fit: bit i is the i-th that the pod asks for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

LEAST, MOST, RATIO = 0, 1, 2
BEST_FIT, WORST_FIT, DOT_PRODUCT, FIRST_FIT = 0, 1, 2, 3
MAX_SCORE = 100
EXACT_BELOW = 1 << 45


@compiled
def fit_code(n: int, requested: Any, allocatable: Any, resources: Any, amounts: Any) -> Any:
    """Return the bit mask of the resources that a pod asks for and node *n* has not free."""
    code = 0
    for i in range(len(resources)):
        r = resources[i]
        if amounts[i] > allocatable[r, n] - requested[r, n]:
            code |= 1 << i
    return code


@compiled
def count_pairs(by: Any, codes: Any, found: Any) -> Any:
    """Fill *found* [K, 4] with the distinct pairs of *by* and *codes*; return how many there are.

    A row is the pair, how often it is there, and where first. With more than K pairs the answer is
    K + 1, and *found* is of no use.
    """
    size = 0
    last = 0
    for n in range(len(by)):
        if size > 0 and found[last, 0] == by[n] and found[last, 1] == codes[n]:
            found[last, 2] += 1  # most nodes are rejected as the one before
            continue
        last = 0
        while last < size and (found[last, 0] != by[n] or found[last, 1] != codes[n]):
            last += 1
        if last == len(found):
            return len(found) + 1
        if last == size:
            found[last, 0] = by[n]
            found[last, 1] = codes[n]
            found[last, 2] = 0
            found[last, 3] = n
            size += 1
        found[last, 2] += 1
    return size


@compiled
def fold(
    rows: Any,
    node_codes: Any,
    node_scores: Any,
    kept: Any,
    raw: Any,
    weights: Any,
    codes: Any,
    scores: Any,
) -> Any:
    """Fill *codes* and *scores* [N] at *rows* with what resources and other plugins say.

    *kept* [F, N] are verdicts and *raw* [S, N] scores of the others, which count *weights* [S].
    """
    for k in range(len(rows)):
        n = rows[k]
        code = node_codes[n]
        for f in range(len(kept)):
            code |= kept[f, n]
        score = node_scores[n]
        for s in range(len(raw)):
            score += weights[s] * raw[s, n]
        codes[n] = code
        scores[n] = score


@compiled
def ratio_score(utilization: int, xs: Any, ys: Any) -> Any:
    """Return the value of a piecewise linear shape at *utilization*, in truncating integers."""
    for i in range(len(xs)):
        if utilization <= xs[i]:
            if i == 0:
                return ys[0]
            step = (ys[i] - ys[i - 1]) * (utilization - xs[i - 1])
            width = xs[i] - xs[i - 1]
            # Go truncates towards zero, // rounds down
            part = step // width if step >= 0 else -((-step) // width)
            return ys[i - 1] + part
    return ys[len(ys) - 1]


@compiled
def fit_score(
    n: int,
    requested: Any,
    nonzero: Any,
    allocatable: Any,
    rows: Any,
    asked: Any,
    weights: Any,
    strategy: int,
    xs: Any,
    ys: Any,
) -> Any:
    """Return NodeResourcesFit's score of node *n* under one of the three strategies."""
    total = 0
    weight_sum = 0
    for i in range(len(rows)):
        r = rows[i]
        capacity = allocatable[r, n]
        if capacity == 0:
            continue
        used = (nonzero[r, n] if r < 2 else requested[r, n]) + asked[i]
        if strategy == LEAST:
            score = 0 if used > capacity else (capacity - used) * MAX_SCORE // capacity
        elif strategy == MOST:
            score = min(used, capacity) * MAX_SCORE // capacity
        else:
            share = MAX_SCORE if used > capacity else used * MAX_SCORE // capacity
            score = ratio_score(share, xs, ys)
            if score <= 0:
                continue
        total += score * weights[i]
        weight_sum += weights[i]
    if weight_sum == 0:
        return 0
    if strategy == RATIO:
        return int(np.floor(total / weight_sum + 0.5))
    return total // weight_sum


@compiled
def _fraction(n: int, r: int, asked: int, requested: Any, allocatable: Any) -> Any:
    return min(float(requested[r, n] + asked) / float(allocatable[r, n]), 1.0)


@compiled
def balanced_score(n: int, requested: Any, allocatable: Any, rows: Any, asked: Any) -> Any:
    """Return NodeResourcesBalancedAllocation's score of node *n*, in upstream's float64 order."""
    count = 0
    total = first = last = 0.0
    for i in range(len(rows)):
        if allocatable[rows[i], n] == 0:
            continue
        last = _fraction(n, rows[i], asked[i], requested, allocatable)
        first = last if count == 0 else first
        total += last
        count += 1
    deviation = 0.0
    if count == 2:
        deviation = abs((first - last) / 2)
    elif count > 2:
        mean = total / count
        square = 0.0
        for i in range(len(rows)):
            if allocatable[rows[i], n] != 0:
                off = _fraction(n, rows[i], asked[i], requested, allocatable) - mean
                square += off * off
        deviation = np.sqrt(square / count)
    return int((1 - deviation) * MAX_SCORE)


@compiled
def _refresh_every(  # noqa: C901 - loops kept whole for the compiler
    requested: Any, nonzero: Any, allocatable: Any, plan: Any, codes: Any, scores: Any
) -> Any:
    """Do what `refresh_kube` does for all rows at once, resource by resource; False = it can't.

    Ten times as fast, as the processor takes several nodes at a time. Quotients are taken in
    float64: exact up to `EXACT_BELOW`, since (x y) / y and its neighbours are then told apart.
    """
    head = plan[0]
    strategy, weight_fit, weight_balanced = head[4], head[5], head[6]
    if (weight_fit and strategy == RATIO) or (weight_balanced and head[2] != 2):
        return False
    size = len(codes)
    for i in range(head[1]):
        offered = allocatable[plan[3, i], :size]
        if offered.min() <= 0 or offered.max() >= EXACT_BELOW:
            return False
    for i in range(head[2]):
        if allocatable[plan[6, i], :size].min() <= 0:
            return False
    codes[:] = 0
    for i in range(head[0]):
        r, amount = plan[1, i], plan[2, i]
        bit = np.int64(1) << i
        offered, taken = allocatable[r], requested[r]
        for n in range(size):
            if amount > offered[n] - taken[n]:
                codes[n] |= bit
    scores[:] = 0
    if weight_fit:
        _fit_every(requested, nonzero, allocatable, plan, scores)
    if weight_balanced:
        first, second = plan[6, 0], plan[6, 1]
        offered, taken = allocatable[first], requested[first]
        offered_too, taken_too = allocatable[second], requested[second]
        for n in range(size):
            one = min(float(taken[n] + plan[7, 0]) / float(offered[n]), 1.0)
            two = min(float(taken_too[n] + plan[7, 1]) / float(offered_too[n]), 1.0)
            even = 1 - abs((one - two) / 2)
            scores[n] += weight_balanced * np.int64(even * MAX_SCORE)
    return True


@compiled
def _fit_every(requested: Any, nonzero: Any, allocatable: Any, plan: Any, scores: Any) -> None:
    """Put NodeResourcesFit's weighted score of every node into *scores*, which are 0."""
    head = plan[0]
    size = len(scores)
    weights = np.float64(0)
    for i in range(head[1]):
        r, asked, weight = plan[3, i], plan[4, i], plan[5, i]
        weights += weight
        offered = allocatable[r]
        taken = nonzero[r] if r < 2 else requested[r]
        if head[4] == LEAST:
            for n in range(size):
                capacity = float(offered[n])
                part = max(capacity - float(taken[n] + asked), 0.0)
                scores[n] += weight * np.int64(part * MAX_SCORE / capacity)
        else:
            for n in range(size):
                capacity = float(offered[n])
                part = min(float(taken[n] + asked), capacity)
                scores[n] += weight * np.int64(part * MAX_SCORE / capacity)
    for n in range(size):
        scores[n] = head[5] * np.int64(float(scores[n]) / max(weights, 1.0))


@compiled
def refresh_kube(
    changed: Any,
    requested: Any,
    nonzero: Any,
    allocatable: Any,
    plan: Any,
    codes: Any,
    scores: Any,
) -> None:
    """Bring filter codes and unnormalised scores of the *changed* rows up to date.

    *plan* [10, K] holds what the class asks for, so that a call carries one array instead of ten:
    row 0 has the lengths and weights (requests, fit, balanced, shape, strategy, weight of fit,
    weight of balanced); then requests (resource, amount), fit (resource, asked, weight), balanced
    (resource, asked), shape (x, y), each up to its length.
    """
    if len(changed) >= len(codes) and _refresh_every(
        requested, nonzero, allocatable, plan, codes, scores
    ):
        return
    head = plan[0]
    resources, amounts = plan[1, : head[0]], plan[2, : head[0]]
    fit_rows, fit_asked, fit_weights = plan[3, : head[1]], plan[4, : head[1]], plan[5, : head[1]]
    balanced_rows, balanced_asked = plan[6, : head[2]], plan[7, : head[2]]
    xs, ys = plan[8, : head[3]], plan[9, : head[3]]
    strategy, weight_fit, weight_balanced = head[4], head[5], head[6]
    for k in range(len(changed)):
        n = changed[k]
        code = fit_code(n, requested, allocatable, resources, amounts)
        codes[n] = code
        if code == 0:
            score = 0
            if weight_fit:
                score += weight_fit * fit_score(
                    n,
                    requested,
                    nonzero,
                    allocatable,
                    fit_rows,
                    fit_asked,
                    fit_weights,
                    strategy,
                    xs,
                    ys,
                )
            if weight_balanced:
                score += weight_balanced * balanced_score(
                    n, requested, allocatable, balanced_rows, balanced_asked
                )
            scores[n] = score


@compiled
def refresh_rank(
    changed: Any,
    requested: Any,
    allocatable: Any,
    request: Any,
    largest: Any,
    mode: int,
    codes: Any,
    ranks: Any,
) -> None:
    """Bring filter codes and ranks of a packing heuristic up to date for the *changed* rows.

    *largest* [R] is the largest allocatable amount of each resource over the nodes.
    """
    resources, amounts = request
    for k in range(len(changed)):
        n = changed[k]
        code = fit_code(n, requested, allocatable, resources, amounts)
        codes[n] = code
        if code != 0 or mode == FIRST_FIT:
            ranks[n] = 0.0
            continue
        value = 0.0
        for i in range(len(resources)):
            r = resources[i]
            if r == 3:  # the pod count is no resource to pack
                continue
            free = allocatable[r, n] - requested[r, n]
            if mode == DOT_PRODUCT:
                value += (amounts[i] / largest[r]) * (free / largest[r])
            else:
                value += (free - amounts[i]) / allocatable[r, n]
        ranks[n] = -value if mode == BEST_FIT else value


@compiled
def choose_rank(static_ok: Any, codes: Any, ranks: Any) -> Any:
    """Return (row of the highest rank, feasible nodes); the first of equals."""
    found = 0
    chosen = -1
    best = -np.inf
    for n in range(len(static_ok)):
        if static_ok[n] and codes[n] == 0:
            found += 1
            if ranks[n] > best:
                best = ranks[n]
                chosen = n
    return chosen, found


@compiled
def choose_nth(static_ok: Any, codes: Any, start: int, u: float) -> Any:
    """Return (row, feasible nodes): the first feasible row at or after *start*, or a drawn one.

    With *u* >= 0 the row is the floor(u F)-th of the F feasible ones; the search wraps around.
    """
    size = len(static_ok)
    found = 0
    first_after = -1
    first = -1
    for n in range(size):
        if static_ok[n] and codes[n] == 0:
            found += 1
            if first < 0:
                first = n
            if first_after < 0 and n >= start:
                first_after = n
    if found == 0:
        return -1, 0
    if u < 0:
        return (first_after if first_after >= 0 else first), found
    skip = int(u * found)
    for n in range(size):
        if static_ok[n] and codes[n] == 0:
            if skip == 0:
                return n, found
            skip -= 1
    return first, found
