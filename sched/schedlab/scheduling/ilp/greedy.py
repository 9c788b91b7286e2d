"""Placements to start from: what kube-scheduler does, pod by pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schedlab.cluster.state import ClusterState
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.ilp.model import AssignmentModel, Ints
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView


def make_greedy(profile: Profile | None = None) -> KubeScheduler:
    """Return kube-scheduler as it makes the placements to start from.

    It looks at all nodes, takes the first of the best, and does not preempt.

    Parameters
    ----------
    profile : Profile, optional
        Whose plugins decide; the default profile when absent.
    """
    profile = profile or Profile.default()
    if profile.others is not None:
        others = {point: plugins for point, plugins in profile.others.items()
                  if point != "post_filter"}  # fmt: skip
        profile = replace(profile, others=others)
    return KubeScheduler(profile, tie_break="first", percentage_of_nodes_to_score=100)


def greedy_nodes(
    pods: Sequence[Pod], state: ClusterState, scheduler: KubeScheduler, draws: Draws
) -> list[int]:
    """Return the row of the node that a greedy scheduler gives each pod, -1 = none."""
    return scheduler.schedule(PodBatch(list(pods)), ClusterView(state), draws).node


def counts_of(model: AssignmentModel, node: Sequence[int]) -> Ints:
    """Return a placement of the batch in counts, running pods where they are, int64 [G, N].

    Gangs that are not complete are left out.
    """
    column = {row: n for n, row in enumerate(model.rows.tolist())}
    x = model.running.copy()
    for g, group in enumerate(model.groups):
        for index in group.pending:
            if node[index] >= 0:
                x[g, column[node[index]]] += 1
    for gang in model.couplings.gangs:
        groups = list(gang.groups)
        if (x[groups].sum(axis=1) < model.demand[groups]).any():
            x[groups] = model.running[groups]
    return x
