"""The order in which FGD's experiments give a cluster its pods, and break ties between its nodes.

The paper ("Beware of Fragmentation", Weng et al., USENIX ATC'23) shuffles the pods of a list, then
adds clones of pods drawn from it until they ask for a share of all GPUs, 1.3 for its figures; they
come one after the other and none ever ends. Nodes are shuffled too, since of equally good nodes the
first is taken. Here both come from the seed of the run, or from files with an order recorded
elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.workload.openb_csv import PodList, cell_error, numbers, read_table

Ints = NDArray[np.int64]
CLONE: Final = "-tuned-"
"""Between the name of a pod and the number of a clone of it."""
SHUFFLED: Final = "shuffled"


class Ordered(NamedTuple):
    """Pods in the order of their arrival.

    Attributes
    ----------
    rows : int64 array of shape [A]
        Row of the list that each is, or is a clone of.
    names : tuple of str, length A
        The pod's name; a clone's has a number.
    replicas : list of int, length A
        The row in the list; beyond its rows the clones.
    """

    rows: Ints
    names: tuple[str, ...]
    replicas: list[int]


def shuffled_pods(pods: PodList, draws: Draws, target_milli: float | None = None) -> Ordered:
    """Return the pods of a list in random order, inflated until they ask for *target_milli*.

    The rules are the paper's program's. Clones are drawn from the list sorted by name, and end
    before the first whose thousandths of *one* GPU would exceed the target. Where the list asks for
    more than the target, pods drawn from it are left out instead.

    Parameters
    ----------
    pods : PodList
        The list.
    draws : Draws
        Of the run's seed.
    target_milli : float, optional
        Thousandths of GPUs to ask for; where absent the list is neither cut nor inflated.
    """
    by_name = np.array(sorted(range(len(pods.name)), key=pods.name.__getitem__), np.int64)
    order = by_name[draws.stream("shuffle").generator().permutation(len(by_name))]
    if target_milli is None or not len(by_name):
        return _ordered(pods, order, order[:0])
    asks = pods.num_gpu * pods.gpu_milli
    asked = int(asks.sum())
    drawn = draws.stream("inflate").generator()
    if asked > target_milli:
        left = order.tolist()
        while asked > target_milli:
            asked -= int(asks[left.pop(int(drawn.integers(len(left))))])
        return _ordered(pods, np.array(left, np.int64), order[:0])
    if not asks.any():
        raise InputError("inflate", found="<no pod with a GPU>", expected="pods that ask for GPUs")
    clones = []
    while True:
        row = int(by_name[drawn.integers(len(by_name))])
        if asked + int(pods.gpu_milli[row]) > target_milli:
            break
        clones.append(row)
        asked += int(asks[row])
    return _ordered(pods, order, np.array(clones, np.int64))


def _ordered(pods: PodList, rows: Ints, clones: Ints) -> Ordered:
    size = len(pods.name)
    names = [pods.name[row] for row in rows.tolist()]
    names += [f"{pods.name[row]}{CLONE}{i}" for i, row in enumerate(clones.tolist())]
    replicas = rows.tolist() + list(range(size, size + len(clones)))
    return Ordered(np.concatenate([rows, clones]), tuple(names), replicas)


def recorded_pods(pods: PodList, path: Path) -> Ordered:
    """Return the pods of a list in the order of a file, a CSV with the columns order and pod.

    Raises
    ------
    InputError
        The file can't be read, or names a pod that the list lacks.
    """
    table = read_table(path, ("order", "pod"))
    places = numbers(path, table, "order")
    row_of = {name: row for row, name in enumerate(pods.name)}
    rows, names, replicas = [], [], []
    for line in np.argsort(places, kind="stable").tolist():
        name = table["pod"][line]
        original, clone, number = name.rpartition(CLONE)
        row = row_of.get(original if clone else name, -1)
        if row < 0:
            raise cell_error(path, line, "pod", name, "a pod of the list, or a clone of one")
        rows.append(row)
        names.append(name)
        replicas.append(len(pods.name) + int(number) if clone and number.isdigit() else row)
    if len(set(names)) < len(names):
        raise InputError("pod", found="<a pod twice>", expected="each pod once", file=path)
    return Ordered(np.array(rows, np.int64), tuple(names), replicas)


def node_order(names: list[str], order: str | Path | None, draws: Draws | None) -> list[int]:
    """Return the rows of the nodes in the order in which ties are broken.

    Parameters
    ----------
    names : list of str
        The nodes as listed.
    order : str or Path, optional
        "shuffled", or a CSV file with the columns node_rank and node; as listed where absent.
    draws : Draws, optional
        Of the run's seed; needed for "shuffled".
    """
    if order is None:
        return list(range(len(names)))
    if order == SHUFFLED:
        if draws is None:
            raise InputError("order", found=order, expected="a seed to draw it from")
        rows: list[int] = draws.stream("nodes").generator().permutation(len(names)).tolist()
        return rows
    path = Path(order)
    table = read_table(path, ("node_rank", "node"))
    ranks = numbers(path, table, "node_rank").tolist()
    rank_of = dict(zip(table["node"], ranks, strict=True))
    for name in names:
        if name not in rank_of:
            raise InputError(
                "node", found=f"<no {name}>", expected="a rank of each node", file=path
            )
    return sorted(range(len(names)), key=lambda row: rank_of[names[row]])
