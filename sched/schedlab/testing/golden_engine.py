"""What the incremental engine decides on a recorded scenario, beside the plain evaluation.

`schedlab.experiment.decide` evaluates each pod from nothing, which is what is compared with a
recording line by line. The runs of schedlab decide by the engine: here it is asked about each pod
just before, on the same cluster, and has to come to the same end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schedlab.experiment.decide import in_order, pod_of
from schedlab.experiment.scenario import Scenario
from schedlab.rng import Draws
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView

Line = Mapping[str, Any]


class Outcome(NamedTuple):
    """How a decision ended, in names of nodes and pods.

    Attributes
    ----------
    node : str
        The node that the pod was placed on, "" = none.
    feasible : int
        How many nodes were found feasible; -1 where a nominated node was taken unseen.
    nominated : str
        The node that room is made on, "" = none.
    victims : tuple of str
        Who has to go from there, sorted.
    """

    node: str
    feasible: int
    nominated: str
    victims: tuple[str, ...]


def recorded_outcome(line: Line) -> Outcome | None:
    """Return the outcome that a decision line tells of; None where nothing was decided."""
    if "gated" in line or "skipped" in line:
        return None
    if "preemption" in line:
        said = line["preemption"]
        victims = tuple(sorted(victim["pod"] for victim in said["victims"]))
        return Outcome("", 0, said["node"], victims)
    feasible = -1 if line.get("nominated") else len(line["feasible"])
    return Outcome(line["chosen"] or "", feasible, "", ())


def engine_outcomes(scenario: Scenario, profiles: Sequence[Profile]) -> Iterator[Outcome | None]:
    """Yield what the engine decides on each pending pod, as the cluster stands when it is asked.

    Whoever asks lets the recorded decision take place before the next is asked for. None is yielded
    for pods that the profiles don't decide on.
    """
    engines = {
        profile.scheduler_name: KubeScheduler(
            profile,
            tie_break="first",
            percentage_of_nodes_to_score=100,
            by_zone=False,  # recordings visit nodes by row
        )
        for profile in profiles
    }
    state, view = scenario.state, ClusterView(scenario.state)
    nominations = dict(state.nominated)
    for row in in_order(scenario, profiles):
        pod = pod_of(scenario, row)
        chosen = engines.get(pod.pod_class.spec.scheduler_name)
        deleted = scenario.pods[row].metadata.deletion_timestamp is not None
        if chosen is None or deleted or chosen.pre_enqueue(pod, view) is not None:
            yield None
            continue
        before = dict(state.nominated)
        state.nominated.clear()  # recordings leave out the nominations of others
        if row in nominations:
            state.nominated[row] = nominations[row]
        placement = chosen.schedule(PodBatch([pod]), view, Draws(0))
        state.nominated.clear()
        state.nominated.update(before)
        names, node = state.nodes.names, placement.node[0]
        made = placement.nominations.get(0, -1)
        yield Outcome(
            names[node] if node >= 0 else "",
            -1 if row in nominations and node == nominations[row][0] else placement.feasible[0],
            names[made] if made >= 0 else "",
            tuple(sorted(state.names[eviction.pod] for eviction in placement.evictions)),
        )
