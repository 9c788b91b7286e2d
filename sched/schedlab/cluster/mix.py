"""The pods that a cluster is known to get, counted by what they ask for.

Policies that look ahead are told of it: an operator knows such a mix from what ran before.
"""

from __future__ import annotations

from collections.abc import Iterable

from schedlab.cluster.devices import DeviceRequest, Shape, shape_of

Asked = tuple[int, int, DeviceRequest | None, int]
"""Milli-cores, bytes, GPUs, and how many pods ask for that."""


def mix_of(asked: Iterable[Asked]) -> dict[Shape, int]:
    """Return how many pods have each shape.

    Examples
    --------
    >>> gpu = DeviceRequest(count=1, milli=1000, models=())
    >>> mix_of([(500, 0, None, 2), (500, 1 << 30, None, 1), (2000, 0, gpu, 1)])
    {(500, 0, 0, ''): 3, (2000, 1000, 1, ''): 1}
    """
    found: dict[Shape, int] = {}
    for cpu, _, devices, number in asked:
        if number:
            shape = shape_of(cpu, devices)
            found[shape] = found.get(shape, 0) + number
    return found


def memory_per_milli(asked: Iterable[Asked]) -> float:
    """Return the bytes per thousandth of a GPU of pods that want GPUs; 0 = none does.

    Examples
    --------
    >>> half = DeviceRequest(count=1, milli=500, models=())
    >>> memory_per_milli([(500, 7000, None, 2), (2000, 4000, half, 3)])
    8.0
    """
    memory = milli = 0
    for _, own, devices, number in asked:
        if devices is not None:
            memory += own * number
            milli += devices.total * number
    return memory / milli if milli else 0.0
