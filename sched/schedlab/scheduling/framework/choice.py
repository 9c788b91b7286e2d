"""Compiled choice: which nodes pass, how their scores compare, which of the best is taken.

One decision works on *items*. An item is a single node, or a group of nodes that only differ in
what is requested of them: same labels as far as the pod looks, same taints, same images. All
plugins that look at labels and topology domains then give one answer per group, and within a group
the best node is known from maxima over blocks that move with every placement. A decision costs as
much as there are groups and blocks, not nodes; where groups don't pay (a preference per hostname, a
search that ends after some nodes) every node is an item of its own.

What topology domains contribute is described by *entries*, one row each of the arrays

* ``doms`` int32 [E, I]: the item's domain under the entry's topology key, -1 = it lacks the key;
* ``counts`` int64 [E, D]: pods (or summed weights) per domain;
* ``sizes`` int64 [E, D]: eligible nodes per domain;
* ``params`` int64 [E, 6]: kind, domains, maxSkew, minDomains, self match, hostname (see constants).

Upstream's sources of the formulas: podtopologyspread/{filtering,scoring}.go and
interpodaffinity/{filtering,scoring}.go of 1.35.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schedlab.cluster.compiled import compiled

MAX_SCORE = 100
BLOCK = 64
# kinds of entries
SPREAD, AFFINITY, ANTI, SOFT, PREFERRED = 0, 1, 2, 3, 4
# columns of params
KIND, DOMAINS, MAX_SKEW, MIN_DOMAINS, SELF, HOSTNAME = 0, 1, 2, 3, 4, 5
# columns of weights
TAINTS, NODE_AFFINITY, SPREADING, POD_AFFINITY, ALL_KEYS = 0, 1, 2, 3, 4


@compiled
def least_counts(counts: Any, sizes: Any, params: Any) -> Any:
    """Return per SPREAD entry the smallest count over its domains; per AFFINITY entry the sum.

    With fewer domains than minDomains the smallest count is 0, as upstream's global minimum.
    """
    least = np.zeros(len(params), np.int64)
    for e in range(len(params)):
        if params[e, KIND] == AFFINITY:
            for d in range(params[e, DOMAINS]):
                least[e] += counts[e, d]
        elif params[e, KIND] == SPREAD:
            low = np.int64(1) << 62
            domains = 0
            for d in range(params[e, DOMAINS]):
                if sizes[e, d] > 0:
                    domains += 1
                    low = min(low, counts[e, d])
            least[e] = 0 if domains < params[e, MIN_DOMAINS] or domains == 0 else low
    return least


@compiled
def passes(i: int, doms: Any, counts: Any, params: Any, least: Any, alone: bool) -> Any:
    """Return whether item *i* passes the SPREAD, AFFINITY and ANTI entries.

    *alone*: no pod matches the affinity terms yet and the pod matches its own, so that any node
    with the keys will do.
    """
    near = True
    for e in range(len(params)):
        kind = params[e, KIND]
        d = doms[e, i]
        if kind == SPREAD:
            if d < 0:
                return False
            if counts[e, d] + params[e, SELF] - least[e] > params[e, MAX_SKEW]:
                return False
        elif kind == ANTI:
            if d >= 0 and counts[e, d] > 0:
                return False
        elif kind == AFFINITY:
            if d < 0:
                return False
            if counts[e, d] <= 0:
                near = False
    return near or alone


@compiled
def first_of_its_kind(params: Any, least: Any) -> Any:
    """Return whether the pod's affinity terms match nothing yet but itself."""
    alone = False
    for e in range(len(params)):
        if params[e, KIND] == AFFINITY:
            if least[e] > 0 or params[e, SELF] == 0:
                return False
            alone = True
    return alone


@compiled
def soft_weights(  # noqa: C901 - loops kept whole for the compiler
    alive: Any, count: int, found: Any, doms: Any, params: Any, all_keys: bool
) -> Any:
    """Return (weight per SOFT entry, whether an item is ignored) for the *count* alive items.

    A weight is log(domains + 2), the domains being those of the feasible nodes; for the hostname it
    is the number of feasible nodes that aren't ignored.
    """
    entries = len(params)
    weights = np.zeros(entries, np.float64)
    ignored = np.zeros(count, np.bool_)
    nodes = 0
    for k in range(count):
        i = alive[k]
        if all_keys:
            for e in range(entries):
                if params[e, KIND] == SOFT and doms[e, i] < 0:
                    ignored[k] = True
        if not ignored[k]:
            nodes += found[i]
    for e in range(entries):
        if params[e, KIND] != SOFT:
            continue
        size = nodes
        if params[e, HOSTNAME] == 0:
            size = 0
            seen = np.zeros(params[e, DOMAINS] + 1, np.bool_)
            for k in range(count):
                if not ignored[k]:
                    d = doms[e, alive[k]]
                    if d < 0:  # upstream takes the missing value for one more domain
                        d = params[e, DOMAINS]
                    if not seen[d]:
                        seen[d] = True
                        size += 1
        weights[e] = np.log(float(size + 2))
    return weights, ignored


@compiled
def soft_score(i: int, doms: Any, counts: Any, params: Any, weights: Any) -> Any:
    """Return PodTopologySpread's raw score of an item: the lower the better."""
    score = 0.0
    for e in range(len(params)):
        if params[e, KIND] == SOFT and doms[e, i] >= 0:
            score += float(counts[e, doms[e, i]]) * weights[e] + float(params[e, MAX_SKEW] - 1)
    whole = np.floor(score)
    return np.int64(whole + 1 if score - whole >= 0.5 else whole)  # rounds half away from zero


@compiled
def preferred_score(i: int, doms: Any, counts: Any, params: Any) -> Any:
    """Return InterPodAffinity's raw score of an item."""
    score = np.int64(0)
    for e in range(len(params)):
        if params[e, KIND] == PREFERRED and doms[e, i] >= 0:
            score += counts[e, doms[e, i]]
    return score


@compiled
def normalized_sum(  # noqa: C901 - loops kept whole for the compiler
    alive: Any,
    count: int,
    found: Any,
    taints: Any,
    affinity: Any,
    doms: Any,
    counts: Any,
    params: Any,
    weights: Any,
) -> Any:
    """Return the sum of the normalised, weighted scores of each alive item, int64 [*count*].

    *taints* are counts of untolerated PreferNoSchedule taints (normalised in reverse), *affinity*
    weights of preferred node affinity; *weights* the plugins' weights, 0 = it doesn't score here.
    """
    total = np.zeros(count, np.int64)
    if weights[TAINTS]:
        most = np.int64(0)
        for k in range(count):
            most = max(most, taints[alive[k]])
        if most:
            for k in range(count):
                share = MAX_SCORE - MAX_SCORE * taints[alive[k]] // most
                total[k] += weights[TAINTS] * share
    if weights[NODE_AFFINITY]:
        most = np.int64(0)
        for k in range(count):
            most = max(most, affinity[alive[k]])
        if most:
            for k in range(count):
                total[k] += weights[NODE_AFFINITY] * (MAX_SCORE * affinity[alive[k]] // most)
    if weights[SPREADING]:
        factors, ignored = soft_weights(alive, count, found, doms, params, weights[ALL_KEYS] != 0)
        raw = np.zeros(count, np.int64)
        low, high = np.int64(1) << 62, -(np.int64(1) << 62)
        for k in range(count):
            if not ignored[k]:
                raw[k] = soft_score(alive[k], doms, counts, params, factors)
                low, high = min(low, raw[k]), max(high, raw[k])
        for k in range(count):
            if not ignored[k]:
                share = MAX_SCORE if high == 0 else MAX_SCORE * (high + low - raw[k]) // high
                total[k] += weights[SPREADING] * share
    if weights[POD_AFFINITY]:
        raw = np.zeros(count, np.int64)
        low, high = np.int64(1) << 62, -(np.int64(1) << 62)
        for k in range(count):
            raw[k] = preferred_score(alive[k], doms, counts, params)
            low, high = min(low, raw[k]), max(high, raw[k])
        if high > low:
            for k in range(count):
                share = np.int64(float(MAX_SCORE) * (float(raw[k] - low) / float(high - low)))
                total[k] += weights[POD_AFFINITY] * share
    return total


@compiled
def decide_nodes(  # noqa: C901 - loops kept whole for the compiler
    window: Any,
    ok: Any,
    codes: Any,
    scores: Any,
    extra: Any,
    taints: Any,
    affinity: Any,
    entries: Any,
    weights: Any,
    u: float,
) -> Any:
    """Decide with every node an item; return (row or -1, feasible nodes found, nodes visited).

    Parameters
    ----------
    window : tuple of (int64 array of shape [N], int, int)
        Rows in the order of visit, where to start, how many feasible nodes end the search.
    ok : bool array of shape [N]
        Passes the filters whose verdict is kept.
    codes : int64 array of shape [N]
        0 where the resources are there.
    scores, extra : int64 array of shape [N]
        Weighted scores that need no normalising: of resources, and fixed ones.
    taints, affinity, weights
        See `normalized_sum`.
    entries : tuple of (doms, counts, sizes, params)
        See the module.
    u : float
        In [0, 1): draws among the best; negative: the first visited.
    """
    order, start, wanted = window
    doms, counts, sizes, params = entries
    least = least_counts(counts, sizes, params)
    alone = first_of_its_kind(params, least)
    size = len(order)
    alive = np.empty(min(size, wanted), np.int64)
    count = 0
    visited = 0
    for k in range(size):
        at = start + k
        n = order[at - size if at >= size else at]
        visited += 1
        if ok[n] and codes[n] == 0 and passes(n, doms, counts, params, least, alone):
            alive[count] = n
            count += 1
            if count == wanted:
                break
    if count == 0:
        return -1, 0, visited
    found = np.ones(len(ok), np.int64) if weights[SPREADING] else order
    total = normalized_sum(alive, count, found, taints, affinity, doms, counts, params, weights)
    best = -(np.int64(1) << 62)
    ties = 0
    for k in range(count):
        total[k] += scores[alive[k]] + extra[alive[k]]
        if total[k] > best:
            best, ties = total[k], 1
        elif total[k] == best:
            ties += 1
    skip = int(u * ties) if u >= 0 else 0
    for k in range(count):
        if total[k] == best:
            if skip == 0:
                return alive[k], count, visited
            skip -= 1
    return -1, count, visited


@compiled
def _rank_every(
    ok: Any, codes: Any, blocked: Any, scores: Any, extra: Any, slots: Any, blocks: Any
) -> None:
    """Do what `rank_rows` does for all rows at once."""
    slot_of, values = slots
    best, ties, found = blocks
    for n in range(len(slot_of)):
        slot = slot_of[n]
        if slot >= 0:
            good = codes[n] == 0 and ok[n] and not (len(blocked) and blocked[n])
            values[slot] = scores[n] + extra[n] if good else -1
    for b in range(len(best)):  # loops without branches: the processor takes several slots at once
        block = values[b * BLOCK : (b + 1) * BLOCK]
        top = np.int64(-1)
        for s in range(BLOCK):
            top = max(top, block[s])
        many = 0
        feasible = 0
        for s in range(BLOCK):
            many += block[s] == top
            feasible += block[s] >= 0
        best[b], ties[b], found[b] = top, many, feasible


@compiled
def rank_rows(  # noqa: C901 - loops kept whole for the compiler
    changed: Any,
    ok: Any,
    codes: Any,
    blocked: Any,
    scores: Any,
    extra: Any,
    slots: Any,
    blocks: Any,
) -> None:
    """Bring the slots of *changed* rows and the maxima of their blocks up to date.

    Parameters
    ----------
    changed : int array
        Rows.
    ok, codes, scores, extra
        See `decide_nodes`.
    blocked : bool array of shape [N]
        Passes no filter that is kept per node; of length 0 when there is none.
    slots : tuple of (int64 array of shape [N], int64 array of shape [S])
        Slot of each row, and score of each slot, -1 = infeasible.
    blocks : int64 array of shape [3, B]
        Best score of each block of slots, how many have it, how many are feasible.
    """
    slot_of, values = slots
    best, ties, found = blocks
    if len(changed) >= len(slot_of):
        _rank_every(ok, codes, blocked, scores, extra, slots, blocks)
        return
    for k in range(len(changed)):
        n = changed[k]
        slot = slot_of[n]
        if slot < 0:
            continue
        value = np.int64(-1)
        if ok[n] and codes[n] == 0 and not (len(blocked) and blocked[n]):
            value = scores[n] + extra[n]
        old = values[slot]
        if value == old:
            continue
        values[slot] = value
        b = slot // BLOCK
        found[b] += (value >= 0) - (old >= 0)
        if value > best[b]:
            best[b], ties[b] = value, 1
            continue
        if value == best[b]:
            ties[b] += 1
        if old == best[b]:
            ties[b] -= 1
            if ties[b] == 0:
                top, many = np.int64(-1), 0
                for s in range(b * BLOCK, (b + 1) * BLOCK):
                    if values[s] > top:
                        top, many = values[s], 1
                    elif values[s] == top:
                        many += 1
                best[b], ties[b] = top, many


@compiled
def decide_groups(  # noqa: C901 - loops kept whole for the compiler
    groups: Any,
    places: Any,
    values: Any,
    blocks: Any,
    fixed: Any,
    entries: Any,
    weights: Any,
    u: float,
) -> Any:
    """Decide with groups of nodes as items; return (place or -1, feasible nodes).

    Parameters
    ----------
    groups : int64 array of shape [G + 1]
        First block of each group, and the number of blocks.
    places, values : int64 array of shape [S]
        Place in the order of visit (-1 = none) and score of each slot.
    blocks : int64 array of shape [3, B]
        See `rank_rows`.
    fixed : tuple of (int64 array of shape [G], int64 array of shape [G])
        Raw scores of taints and node affinity, see `normalized_sum`.
    entries, weights, u
        See `decide_nodes`.
    """
    taints, affinity = fixed
    doms, counts, sizes, params = entries
    best, ties, found = blocks
    least = least_counts(counts, sizes, params)
    alone = first_of_its_kind(params, least)
    size = len(groups) - 1
    alive = np.empty(size, np.int64)
    tops = np.empty(size, np.int64)
    many = np.zeros(size, np.int64)
    members = np.zeros(size, np.int64)
    count = 0
    feasible = 0
    for g in range(size):
        top = np.int64(-1)
        for b in range(groups[g], groups[g + 1]):
            members[g] += found[b]
            if best[b] > top:
                top, many[g] = best[b], ties[b]
            elif best[b] == top:
                many[g] += ties[b]
        tops[g] = top
        if members[g] and passes(g, doms, counts, params, least, alone):
            alive[count] = g
            count += 1
            feasible += members[g]
    if count == 0:
        return -1, 0
    total = normalized_sum(alive, count, members, taints, affinity, doms, counts, params, weights)
    highest = -(np.int64(1) << 62)
    tied = 0
    for k in range(count):
        total[k] += tops[alive[k]]
        if total[k] > highest:
            highest, tied = total[k], many[alive[k]]
        elif total[k] == highest:
            tied += many[alive[k]]
    skip = int(u * tied) if u >= 0 else 0
    chosen = -1
    for k in range(count):
        g = alive[k]
        if total[k] != highest:
            continue
        if u >= 0 and skip >= many[g]:
            skip -= many[g]
            continue
        place = places[_nth(groups, best, ties, values, g, tops[g], skip)]
        if u >= 0:
            return place, feasible
        if chosen < 0 or place < chosen:
            chosen = place
    return chosen, feasible


@compiled
def _nth(groups: Any, best: Any, ties: Any, values: Any, g: int, top: int, skip: int) -> Any:
    """Return the slot of the (*skip* + 1)-th node of group *g* that has its best score."""
    for b in range(groups[g], groups[g + 1]):
        if best[b] != top:
            continue
        if skip >= ties[b]:
            skip -= ties[b]
            continue
        for s in range(b * BLOCK, (b + 1) * BLOCK):
            if values[s] == top:
                if skip == 0:
                    return s
                skip -= 1
    return -1
