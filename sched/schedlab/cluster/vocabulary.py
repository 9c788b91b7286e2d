"""Vocabularies: every string of the cluster becomes a small int once.

Comparing label values, taints and resources is then integer work on columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

CPU: Final = 0
MEMORY: Final = 1
EPHEMERAL_STORAGE: Final = 2
PODS: Final = 3
MOST_ASKED: Final = 62
"""Different resources that a pod may ask for: a verdict is an int64 mask with one bit for each."""


class Vocabulary(Generic[T]):
    """A growing, ordered set of values, each with its number.

    Examples
    --------
    >>> zones = Vocabulary(["a"])
    >>> (zones.add("b"), zones.add("a"), zones.get("c"), zones[1])
    (1, 0, -1, 'b')
    """

    __slots__ = ("_index", "_values")

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._index: dict[T, int] = {}
        self._values: list[T] = []
        for value in values:
            self.add(value)

    def add(self, value: T) -> int:
        """Return the number of *value*, giving it the next one when it is new."""
        number = self._index.get(value)
        if number is None:
            number = self._index[value] = len(self._values)
            self._values.append(value)
        return number

    def get(self, value: T) -> int:
        """Return the number of *value*, or -1 when it is unknown."""
        return self._index.get(value, -1)

    def __getitem__(self, number: int) -> T:
        return self._values[number]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)


class ResourceNames(Vocabulary[str]):
    """The resources of a cluster; rows 0 to 3 are cpu, memory, ephemeral-storage and pods.

    cpu is counted in milli-cores, memory and storage in bytes, pods and extended resources as they
    are named.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(("cpu", "memory", "ephemeral-storage", "pods"))
