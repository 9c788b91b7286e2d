"""The GPUs of the nodes, one by one: how much of each is free, of which model, and who holds what.

A GPU is shared in thousandths. A pod asks for whole GPUs, or for a share of one, by the annotations
of Alibaba's GPU trace; a node has GPUs by its allocatable ``alibabacloud.com/gpu-milli`` (1000 per
GPU) or ``alibabacloud.com/gpu-count``. The columns cost nothing where no node has any.

The pooled amount stays a resource beside them, so that whatever looks at resources alone still
counts it: what the pool covers may fit no single GPU, and that is what these columns are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from schedlab.api.objects import Node
from schedlab.cluster.vocabulary import Vocabulary
from schedlab.errors import InputError

GPU_MILLI: Final = "alibabacloud.com/gpu-milli"
"""On a pod: thousandths of each GPU; on a node: 1000 per GPU; also the pooled resource."""
GPU_COUNT: Final = "alibabacloud.com/gpu-count"
"""How many GPUs a pod asks for, or a node has."""
GPU_MODEL: Final = "alibabacloud.com/gpu-card-model"
"""On a node: the model of its GPUs; on a pod: those it accepts, as ``V100M16|V100M32``."""
GPU_INDEX: Final = "alibabacloud.com/gpu-index"
"""On a pod: the GPUs it holds on its node, as ``0-3``."""
GPU_PRODUCT: Final = "nvidia.com/gpu.product"
"""The label of NVIDIA's feature discovery, read where `GPU_MODEL` is absent."""
WHOLE: Final = 1000

Devices = tuple[int, ...]
"""Indices of GPUs on a node, increasing."""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What a pod asks of GPUs.

    Attributes
    ----------
    count : int
        How many.
    milli : int
        Thousandths of each: 1000 = whole ones; less only where `count` is 1.
    models : tuple of str
        Models that will do, as they were written; none = any.
    """

    count: int
    milli: int
    models: tuple[str, ...]

    @property
    def total(self) -> int:
        """Thousandths over all its GPUs."""
        return self.count * self.milli

    @property
    def shared(self) -> bool:
        """Whether it is a share of one GPU."""
        return self.milli < WHOLE


Shape = tuple[int, int, int, str]
"""Milli-cores, thousandths of each GPU (0 = none), GPUs, and the models that will do."""


def shape_of(cpu_milli: int, devices: DeviceRequest | None) -> Shape:
    """Return what a pod asks of CPU and GPUs, as ``(4000, 500, 1, "T4|P100")``."""
    if devices is None:
        return (cpu_milli, 0, 0, "")
    return (cpu_milli, devices.milli, devices.count, "|".join(devices.models))


def device_request(annotations: Mapping[str, str]) -> DeviceRequest | None:
    """Return what a pod with these annotations asks of GPUs; None = nothing.

    Raises
    ------
    InputError
        A number is none, or shares of several GPUs are asked for.

    Examples
    --------
    >>> device_request({GPU_COUNT: "1", GPU_MILLI: "460", GPU_MODEL: "T4|P100"})
    DeviceRequest(count=1, milli=460, models=('T4', 'P100'))
    """
    if GPU_COUNT not in annotations and GPU_MILLI not in annotations:
        return None
    count = _number(annotations, GPU_COUNT, 1)
    milli = _number(annotations, GPU_MILLI, WHOLE if count else 0)
    if not count or not milli:
        return None
    if milli > WHOLE:
        raise _wrong(GPU_MILLI, annotations[GPU_MILLI], f"at most {WHOLE}, a whole GPU")
    if count > 1 and milli < WHOLE:
        raise _wrong(GPU_MILLI, annotations[GPU_MILLI], f"{WHOLE}, as several GPUs are whole ones")
    models = tuple(name for name in annotations.get(GPU_MODEL, "").split("|") if name)
    return DeviceRequest(count, milli, models)


def device_index(annotations: Mapping[str, str]) -> Devices | None:
    """Return the GPUs that a pod holds by its annotations; None where they don't say.

    >>> device_index({GPU_INDEX: "0-3"})
    (0, 3)
    """
    text = annotations.get(GPU_INDEX)
    if not text:
        return None
    parts = text.split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise _wrong(GPU_INDEX, text, "numbers of GPUs, as 0-3")
    return tuple(sorted({int(part) for part in parts}))


def device_text(devices: Devices) -> str:
    """Return GPUs as the annotation has them: ``0-3``."""
    return "-".join(map(str, devices))


def _number(annotations: Mapping[str, str], name: str, absent: int) -> int:
    text = annotations.get(name)
    if text is None:
        return absent
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise _wrong(name, text, "an integer >= 0")
    return int(text)


def _wrong(name: str, found: str, expected: str) -> InputError:
    return InputError(f"annotations[{name!r}]", found=found, expected=expected)


class DeviceColumns:
    """The GPUs of the nodes in columns of capacity N; at most G on one node.

    Attributes
    ----------
    count : int32 array of shape [N]
        GPUs of the node.
    model : int32 array of shape [N]
        Index into `models`, -1 = none.
    free : int64 array of shape [N, G], thousandths
        What is left of each GPU; 0 beyond `count`.
    holders : int32 array of shape [N, G + 1]
        Pods on the node by what they hold: a share (0), one whole GPU (1), two (2), ...
    models, model_names : Vocabulary of str, tuple of str
        The models of the cluster.
    """

    __slots__ = ("_free", "_holders", "count", "free", "holders", "model", "model_names", "models")

    def __init__(self) -> None:
        self.models: Vocabulary[str] = Vocabulary()
        self.model_names: tuple[str, ...] = ()
        self.count = np.zeros(0, np.int32)
        self.model = np.zeros(0, np.int32)
        self.free = np.zeros((0, 0), np.int64)
        self.holders = np.zeros((0, 1), np.int32)
        self._allocate(0, 0)

    @property
    def width(self) -> int:
        """Most GPUs on one node, G; 0 = the cluster has none."""
        return self.free.shape[1]

    def _allocate(self, capacity: int, width: int) -> None:
        kept, old = len(self.count), self.free.shape[1]
        free = np.zeros((capacity, width), np.int64)
        free[:kept, :old] = self.free
        holders = np.zeros((capacity, width + 1), np.int32)
        holders[:kept, : old + 1] = self.holders
        self.count = np.concatenate([self.count, np.zeros(capacity - kept, np.int32)])
        self.model = np.concatenate([self.model, np.full(capacity - kept, -1, np.int32)])
        self.free, self.holders = free, holders
        if free.size:  # a view of nothing can't be cast
            self._free = memoryview(free.data).cast("B").cast("q")
            self._holders = memoryview(holders.data).cast("B").cast("i")

    def set(self, row: int, node: Node, capacity: int) -> int:
        """Give *row* the GPUs of *node*; return their number.

        What pods hold there stays taken, as it does of other resources.
        """
        offered = node.status.allocatable
        count = offered.get(GPU_COUNT, offered.get(GPU_MILLI, 0) // WHOLE)
        if not count and not self.width:
            return 0
        if capacity > len(self.count) or count > self.width:
            self._allocate(max(capacity, len(self.count)), max(self.width, count))
        labels = node.metadata.labels
        model = labels.get(GPU_MODEL) or labels.get(GPU_PRODUCT)
        self.model[row] = self.models.add(model) if count and model else -1
        if len(self.models) > len(self.model_names):
            self.model_names = tuple(self.models)
        self._resize(row, count)
        return count

    def clear(self, row: int) -> None:
        """Take the GPUs of a node away: it is gone."""
        if row < len(self.count):
            self.model[row] = -1
            self._resize(row, 0)

    def _resize(self, row: int, count: int) -> None:
        before = int(self.count[row])
        self.free[row, before:count] += WHOLE
        self.free[row, count:before] -= WHOLE
        self.count[row] = count

    def accepts(self, row: int, request: DeviceRequest) -> bool:
        """Return whether the model of a node will do."""
        if not self.width:
            return False
        if not request.models:
            return True
        model = int(self.model[row])
        return model >= 0 and self.models[model] in request.models

    def choose(self, row: int, request: DeviceRequest) -> Devices | None:
        """Return the GPUs of *row* that a request best fits: None = it fits none.

        Of a share, the GPU that would be left with the least, the first of equals; of whole GPUs,
        the first idle ones.
        """
        if not self.accepts(row, request):
            return None
        free, width, milli = self._free, self.width, request.milli
        start = row * width
        if milli < WHOLE:
            best = least = -1
            for device in range(int(self.count[row])):
                left = free[start + device]
                if left >= milli and (best < 0 or left < least):
                    best, least = device, left
            return None if best < 0 else (best,)
        idle = [d for d in range(int(self.count[row])) if free[start + d] == WHOLE]
        return tuple(idle[: request.count]) if len(idle) >= request.count else None

    def fits_on(self, row: int, request: DeviceRequest, devices: Devices) -> bool:
        """Return whether the GPUs *devices* of *row* can take a request."""
        if len(devices) != request.count or not self.accepts(row, request):
            return False
        free, start = self._free, row * self.width
        count = int(self.count[row])
        return len(set(devices)) == len(devices) and all(
            0 <= device < count and free[start + device] >= request.milli for device in devices
        )

    def move(self, row: int, request: DeviceRequest, devices: Devices, sign: int) -> None:
        """Take (*sign* 1) what a pod holds of *devices*, or give it back (-1)."""
        if not devices:
            return
        free, width = self._free, self.width
        for device in devices:
            free[row * width + device] -= sign * request.milli
        kind = 0 if request.milli < WHOLE else request.count
        self._holders[row * (width + 1) + kind] += sign
