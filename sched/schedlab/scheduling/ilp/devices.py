"""Which GPUs of its node each pod gets, and what shares of single GPUs add up to at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schedlab.cluster.devices import WHOLE, DeviceRequest, Devices
from schedlab.scheduling.ilp.couplings import Devices as DeviceCoupling
from schedlab.scheduling.ilp.couplings import Ints

PIECES = (1, 2, 3, 4)
"""Parameters of the dual feasible functions that bounds use; more of them were never tighter."""


def dual_feasible(milli: Ints, pieces: int) -> Ints:
    """Return what shares of a GPU count for when they are seen in whole pieces of it.

    Fekete and Schepers' function u^(k) (Mathematical Programming 91, 2001), times 1000 k: shares
    that fit on a GPU together never count for more than what they fit on does. Two shares of 0.51
    count for 1 each with k = 1, so that they don't fit on one GPU in a linear relaxation either.

    Parameters
    ----------
    milli : int64 array
        Shares, or what is free of GPUs, in thousandths.
    pieces : int
        k.

    Examples
    --------
    >>> dual_feasible(np.array([490, 500, 510, 1000]), 1).tolist()
    [0, 500, 1000, 1000]
    """
    scaled = (pieces + 1) * milli
    counted: Ints = np.where(scaled % WHOLE, scaled // WHOLE * WHOLE, pieces * milli)
    return counted


def share_rows(devices: DeviceCoupling) -> tuple[Ints, Ints]:
    """Return rows of a relaxation that know of single GPUs.

    Parameters
    ----------
    devices : couplings.Devices
        What pods ask of GPUs, and what is free of each.

    Returns
    -------
    requests : int64 array of shape [len(PIECES), G]
    room : int64 array of shape [len(PIECES), N]
    """
    requests = [dual_feasible(devices.milli, k) * devices.count for k in PIECES]
    room = [dual_feasible(devices.free, k).sum(axis=1) for k in PIECES]
    return np.array(requests), np.array(room)


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
