"""The GPU policies as schedulers by name: kube-scheduler's filters and one score plugin.

Each is `KubeScheduler` under a profile that a configuration could name just as well; what they
share is that all nodes are scored, ties go to the first node in the order of the cluster, and no
pod is preempted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.gpu.fgd import FGD, STRANDING, FGDStranded
from schedlab.scheduling.gpu.packing import BestFit, DotProduct, GpuClustering, GpuPacking
from schedlab.scheduling.gpu.random_choice import Random
from schedlab.scheduling.kube_scheduler import KubeScheduler


def gpu_profile(scorer: Any) -> Profile:
    """Return the default profile with *scorer* as its only score plugin, and no preemption."""
    default = Profile.default()
    others = {**(default.others or {}), "post_filter": (), "pre_score": ()}
    if hasattr(scorer, "reserve"):
        others["reserve"] = (*others.get("reserve", ()), scorer)
    return replace(default, scores=((scorer, 1),), percentage_of_nodes_to_score=100, others=others)


class _Policy(KubeScheduler):
    """One score plugin."""

    tags = frozenset({"order_dependent", "stateful"})

    def __init__(self, scorer: Any, tie_break: str) -> None:
        super().__init__(gpu_profile(scorer), tie_break=tie_break)


class FgdScheduler(_Policy):
    """The node and GPU where a pod raises GPU fragmentation the least (Weng et al., ATC'23).

    Parameters
    ----------
    coverage : float, default 0.95
        Share of the known mix of pods that the typical ones stand for.
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(self, coverage: float = 0.95, tie_break: str = "first") -> None:
        super().__init__(FGD(coverage), tie_break)


class FgdStrandedScheduler(_Policy):
    """FGD that also keeps GPUs from being stranded on nodes that lack the CPU to feed them.

    Parameters
    ----------
    coverage : float, default 0.95
        Share of the known mix of pods that the typical ones stand for.
    stranding : float, default 0.1
        Weight of stranded GPU beside fragmentation; 0 is FGD.
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(
        self, coverage: float = 0.95, stranding: float = STRANDING, tie_break: str = "first"
    ) -> None:
        super().__init__(FGDStranded(coverage, stranding=stranding), tie_break)


class GpuBestFit(_Policy):
    """The node that would be left with the least CPU and GPU.

    Parameters
    ----------
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(self, tie_break: str = "first") -> None:
        super().__init__(BestFit(), tie_break)


class GpuDotProduct(_Policy):
    """The node whose free CPU and GPU have the smallest product with what a pod asks for.

    Parameters
    ----------
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(self, tie_break: str = "first") -> None:
        super().__init__(DotProduct(), tie_break)


class GpuPackingScheduler(_Policy):
    """GPUs that are in use before idle ones, and those of nodes in use before idle nodes'.

    Parameters
    ----------
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(self, tie_break: str = "first") -> None:
        super().__init__(GpuPacking(), tie_break)


class GpuClusteringScheduler(_Policy):
    """Pods that ask for as many GPUs as each other, or for shares, on the same nodes.

    Parameters
    ----------
    tie_break : {"first", "random"}, default "first"
        Which of equally good nodes.
    """

    def __init__(self, tie_break: str = "first") -> None:
        super().__init__(GpuClustering(), tie_break)


class GpuRandom(_Policy):
    """Any feasible node, and any GPU there that has room, drawn by the pod's key."""

    tags = frozenset({"order_dependent", "stochastic", "stateful"})

    def __init__(self) -> None:
        super().__init__(Random(), "random")
