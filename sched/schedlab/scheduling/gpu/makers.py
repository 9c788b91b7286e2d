"""How the GPU plugins are made from the arguments of a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from schedlab.api.base import ApiModel, Count
from schedlab.cluster.fragmentation import TypicalPods
from schedlab.errors import InputError
from schedlab.scheduling.framework.configuration import validated
from schedlab.scheduling.gpu.fgd import FGD, STRANDING, FGDStranded
from schedlab.scheduling.gpu.gpu_share import GpuShare
from schedlab.scheduling.gpu.packing import BestFit, DotProduct, GpuClustering, GpuPacking
from schedlab.scheduling.gpu.random_choice import Random


class TypicalPod(ApiModel):
    """One kind of pod that the cluster gets."""

    cpu_milli: Count
    gpu_milli: Count = 0
    gpu_count: Count = 0
    gpu_models: str = ""
    pods: Annotated[int, Field(strict=True, gt=0)] = 1
    """How many pods look so, or any numbers in that proportion."""


class FGDArgs(ApiModel):
    """Arguments of FGD."""

    coverage: Annotated[float, Field(gt=0, le=1)] = 0.95
    typical_pods: tuple[TypicalPod, ...] = ()


class FGDStrandedArgs(FGDArgs):
    """Arguments of FGDStranded."""

    stranding: Annotated[float, Field(ge=0)] = STRANDING


def _fgd(content: Mapping[str, Any]) -> FGD:
    args = validated(FGDArgs, content)
    return FGD(args.coverage, _typical(args))


def _fgd_stranded(content: Mapping[str, Any]) -> FGDStranded:
    args = validated(FGDStrandedArgs, content)
    return FGDStranded(args.coverage, _typical(args), args.stranding)


def _typical(args: FGDArgs) -> TypicalPods | None:
    counts: dict[tuple[int, int, int, str], int] = {}
    for pod in args.typical_pods:
        shape = (pod.cpu_milli, pod.gpu_milli, pod.gpu_count, pod.gpu_models)
        counts[shape] = counts.get(shape, 0) + pod.pods
    return TypicalPods.counted(counts, args.coverage) if counts else None


def _without(kind: type) -> Callable[[Mapping[str, Any]], Any]:
    def make(content: Mapping[str, Any]) -> Any:
        if set(content) - {"apiVersion", "kind"}:
            raise InputError("", found=dict(content), expected="nothing: it takes no arguments")
        return kind()

    return make


GPU_PLUGINS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "GpuShare": _without(GpuShare),
    "FGD": _fgd,
    "FGDStranded": _fgd_stranded,
    "BestFit": _without(BestFit),
    "DotProduct": _without(DotProduct),
    "GpuPacking": _without(GpuPacking),
    "GpuClustering": _without(GpuClustering),
    "Random": _without(Random),
}
"""GPU plugins by name, each made from the arguments that a profile gives it."""
WITH_ARGUMENTS: Final = frozenset({"FGD", "FGDStranded"})
