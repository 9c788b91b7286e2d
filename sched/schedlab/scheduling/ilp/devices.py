"""Which GPUs of its node each pod gets, so that all that were placed there have theirs."""

from __future__ import annotations

from collections.abc import Sequence

from schedlab.cluster.devices import WHOLE, DeviceRequest, Devices


def assign_devices(free: Sequence[int], asked: Sequence[DeviceRequest]) -> list[Devices] | None:
    """Return GPUs for each request, or None where there is no way to serve them all.

    Whole GPUs are taken from the idle ones; shares are tried from the largest on, on the fullest
    GPU first, with a way back. Equal GPUs are tried once, and so is what is left of all of them.

    Parameters
    ----------
    free : sequence of int
        Thousandths free of each GPU of the node.
    asked : sequence of DeviceRequest
        What the pods ask for.

    Examples
    --------
    >>> half, whole = DeviceRequest(1, 500, ()), DeviceRequest(1, 1000, ())
    >>> assign_devices([1000, 700, 600], [half, whole, half])
    [(2,), (0,), (1,)]
    >>> assign_devices([600, 600], [whole]) is None
    True
    """
    left = list(free)
    order = sorted(range(len(asked)), key=lambda i: (-asked[i].total, i))
    found: list[Devices] = [()] * len(asked)
    return found if _assign(left, asked, order, 0, found, set()) else None


def _assign(
    left: list[int],
    asked: Sequence[DeviceRequest],
    order: list[int],
    at: int,
    found: list[Devices],
    dead: set[tuple[int, ...]],
) -> bool:
    if at == len(order):
        return True
    state = (at, *sorted(left))  # which GPU has how much left makes no difference
    if state in dead:
        return False
    i = order[at]
    request = asked[i]
    if request.milli == WHOLE:
        idle = [d for d, milli in enumerate(left) if milli == WHOLE]
        choices = [tuple(idle[: request.count])] if len(idle) >= request.count else []
    else:
        fitting = sorted((milli, d) for d, milli in enumerate(left) if milli >= request.milli)
        choices = [(d,) for d in {milli: d for milli, d in reversed(fitting)}.values()]
        choices.reverse()
    for devices in choices:
        for d in devices:
            left[d] -= request.milli
        found[i] = devices
        if _assign(left, asked, order, at + 1, found, dead):
            return True
        for d in devices:
            left[d] += request.milli
    dead.add(state)
    return False
