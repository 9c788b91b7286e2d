"""What a pod asks for, in the form that the kernels take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import DeviceRequest, Shape, shape_of
from schedlab.cluster.fragmentation import accepted
from schedlab.cluster.vocabulary import CPU
from schedlab.scheduling.framework.interface import Cycle


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A pod's request of CPU and GPUs.

    Attributes
    ----------
    shape : tuple of (int, int, int, str)
        Milli-cores, thousandths of each GPU, GPUs, and models.
    pod : tuple of (int, int, int)
        The same without models.
    devices : DeviceRequest, optional
        None where it asks for no GPU.
    models : bool array of shape [models + 1]
        Which models of the cluster will do; the last entry stands for nodes without one.
    """

    shape: Shape
    pod: tuple[int, int, int]
    devices: DeviceRequest | None
    models: NDArray[np.bool_]

    @property
    def kind(self) -> int:
        """Its column in `DeviceColumns.holders`; -1 where it asks for no GPU."""
        if self.devices is None:
            return -1
        return 0 if self.devices.shared else self.devices.count


def asked_of(cycle: Cycle) -> Asked:
    """Return what the pod of a cycle asks for."""
    return _asked(cycle.pod_class, cycle.nodes.devices.model_names)


@lru_cache(maxsize=4096)
def _asked(pod: PodClass, models: tuple[str, ...]) -> Asked:
    first = pod.requests[0] if pod.requests else (CPU, 0)
    cpu = first[1] if first[0] == CPU else 0  # requests are sorted by resource
    devices = pod.devices
    shape = shape_of(cpu, devices)
    wanted = () if devices is None else devices.models
    return Asked(shape, shape[:3], devices, accepted(models, wanted))
