"""A run of pods of one class in one compiled call: choose, charge, refresh, choose again."""

from __future__ import annotations

from typing import Any

from schedlab.cluster.compiled import compiled
from schedlab.scheduling.framework.choice import ANTI, KIND, decide_groups, rank_rows
from schedlab.scheduling.framework.kernels import refresh_kube


@compiled
def charge(row: int, sign: int, requested: Any, nonzero: Any, request: Any) -> None:
    """Add or subtract the request of one pod on node *row*.

    *request* int64 [2, 1 + K]: the nonzero request, then rows of resources over amounts.
    """
    nonzero[0, row] += sign * request[0, 0]
    nonzero[1, row] += sign * request[1, 0]
    for k in range(1, request.shape[1]):
        requested[request[0, k], row] += sign * request[1, k]


@compiled
def count_own(
    row: int, sign: int, own: Any, counts: Any, params: Any, node_doms: Any, blocked: Any
) -> None:
    """Count one pod of the class more (or less) on node *row* in its own entries."""
    steps, eligible = own
    for e in range(len(params)):
        d = node_doms[e, row]
        if steps[e] != 0 and d >= 0 and eligible[e, row]:
            counts[e, d] += sign * steps[e]
            if len(blocked) and params[e, KIND] == ANTI and counts[e, d] > 0:
                blocked[row] = True


@compiled
def move_counts(rows: Any, now: Any, of: Any, eligible: Any, seen: Any, counts: Any) -> None:
    """Let the counts per domain follow from what is on *rows* now; a row may come twice."""
    for k in range(len(rows)):
        n = rows[k]
        if of[n] >= 0 and eligible[n]:
            counts[of[n]] += now[k] - seen[n]
            seen[n] = now[k]


@compiled
def place_run(
    changed: Any,
    moved: Any,
    columns: Any,
    plan: Any,
    kept: Any,
    layout: Any,
    ranked: Any,
    entries: Any,
    own: Any,
    weights: Any,
    us: Any,
    rows: Any,
    found: Any,
) -> Any:
    """Decide on K pods of one class, each on the cluster that the one before left behind.

    The columns are as before when it returns; verdicts, scores and blocks are those of the last
    decision, so the caller has to log the rows in *rows* as changed.

    Parameters
    ----------
    changed, moved : int array
        Rows to bring up to date first: in *codes* and *scores*, and in *values* and *blocks*.
    columns : tuple of (requested, nonzero, allocatable)
        Of the nodes.
    plan : tuple of (int64 array, int64 array)
        What the class asks for, for `refresh_kube` and for `charge`.
    kept : tuple of (codes, scores, ok, extra, blocked)
        See `rank_rows`.
    layout : tuple of (groups, places, slot_of, order, taints, affinity)
        See `decide_groups`; *order* holds the row of each place.
    ranked : tuple of (values, blocks)
        See `rank_rows`.
    entries : tuple of (doms of groups, counts, sizes, params, doms of nodes)
        See `decide_groups`.
    own : tuple of (int64 array of shape [E], bool array of shape [E, N])
        What one pod of the class adds to each entry, and the nodes on which it counts.
    weights : int64 array
        See `normalized_sum`.
    us : float64 array of shape [K]
        A draw for each pod.
    rows, found : int64 array of shape [K]
        Filled with the chosen row and the number of feasible nodes.

    Returns
    -------
    int
        How many pods were placed; the next one fits nowhere, if there is one.
    """
    requested, nonzero, allocatable = columns
    wants, request = plan
    codes, scores, ok, extra, blocked = kept
    groups, places, slot_of, order, taints, affinity = layout
    values, blocks = ranked
    doms, counts, sizes, params, node_doms = entries
    slots = (slot_of, values)
    fixed = (taints, affinity)
    chosen = (doms, counts, sizes, params)
    refresh_kube(changed, requested, nonzero, allocatable, wants, codes, scores)
    rank_rows(moved, ok, codes, blocked, scores, extra, slots, blocks)
    last = len(us) - 1
    placed = 0
    for k in range(len(us)):
        place, feasible = decide_groups(
            groups, places, values, blocks, fixed, chosen, weights, us[k]
        )
        if place < 0:
            break
        row = order[place]
        rows[k] = row
        found[k] = feasible
        placed += 1
        if k < last:
            charge(row, 1, requested, nonzero, request)
            count_own(row, 1, own, counts, params, node_doms, blocked)
            one = rows[k : k + 1]
            refresh_kube(one, requested, nonzero, allocatable, wants, codes, scores)
            rank_rows(one, ok, codes, blocked, scores, extra, slots, blocks)
    for k in range(min(placed, last)):
        charge(rows[k], -1, requested, nonzero, request)
        count_own(rows[k], -1, own, counts, params, node_doms, blocked[:0])
    return placed
