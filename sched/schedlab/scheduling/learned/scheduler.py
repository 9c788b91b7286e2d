"""The scheduler `learned`: kube-scheduler's framework with a model for its score plugins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.score import AUTO, LearnedScore


class Learned(KubeScheduler):
    """Nodes chosen by a model that was trained on other workloads.

    Filters, the queue and preemption are kube-scheduler's; of its score plugins none is asked.

    Parameters
    ----------
    model : str, Path or Model, default "auto"
        See `score.LearnedScore`.
    coverage : float, default 0.95
        See there.
    tie_break : {"first", "random"}, default "first"
        Among nodes of equal value; models are trained with "first", which fills nodes up.
    preemption : bool, default True
        Whether a pod that fits nowhere may drive out others of lower priority.
    """

    def __init__(
        self,
        model: str | Path | Model = AUTO,
        *,
        coverage: float = 0.95,
        tie_break: str = "first",
        preemption: bool = True,
    ) -> None:
        default, scorer = Profile.default(), LearnedScore(model, coverage=coverage)
        others = {**(default.others or {}), "pre_score": ()}
        others["reserve"] = (*others.get("reserve", ()), scorer)
        if not preemption:
            others["post_filter"] = ()
        profile = replace(
            default, scores=((scorer, 1),), percentage_of_nodes_to_score=100, others=others
        )
        super().__init__(profile, tie_break=tie_break)
