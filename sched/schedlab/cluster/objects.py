"""The API objects beside nodes and pods that decisions depend on, as one component sees them.

Services and controllers (default spreading), namespaces (affinity), budgets (preemption), claims
and volumes. They are few and change seldom: plain objects in dictionaries, with a version per kind
for whoever keeps what follows from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from schedlab.api.objects import (
    KINDS,
    ApiObject,
    ApiObjectBase,
    Namespace,
)

T = TypeVar("T", bound=ApiObjectBase)
Derived = TypeVar("Derived")

ObjectKey = tuple[str, str, str]
"""Kind, namespace ("" for kinds that live outside namespaces) and name."""
LOGGED = 1 << 16
"""How many changes are remembered at least."""


class ClusterObjects:
    """Objects by kind, namespace and name.

    Attributes
    ----------
    versions : dict of str to int
        Kind -> how often objects of it were put or removed.
    """

    def __init__(self) -> None:
        self.versions: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._found: defaultdict[str, defaultdict[str, dict[str, Any]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._derived: dict[Hashable, tuple[tuple[int, ...], Any]] = {}
        self._log: list[ObjectKey] = []
        self._forgotten = 0

    def put(self, found: ApiObject) -> None:
        """Add an object, or replace the one of its kind, namespace and name."""
        self._found[found.kind][_namespace(found)][found.metadata.name] = found
        self._note(found)

    def remove(self, found: ApiObject) -> None:
        """Remove the object with the kind, namespace and name of *found*, if it is there."""
        self._found[found.kind][_namespace(found)].pop(found.metadata.name, None)
        self._note(found)

    def _note(self, found: ApiObject) -> None:
        self.versions[found.kind] += 1
        if len(self._log) >= 2 * LOGGED:
            del self._log[:LOGGED]
            self._forgotten += LOGGED
        self._log.append((found.kind, _namespace(found), found.metadata.name))

    @property
    def changes(self) -> int:
        """How many changes there were: the cursor of a reader that has seen all."""
        return self._forgotten + len(self._log)

    def changed_since(self, cursor: int) -> Sequence[ObjectKey] | None:
        """Return what was put or removed since *cursor*; None when that is not known any more."""
        return None if cursor < self._forgotten else self._log[cursor - self._forgotten :]

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        """Return an object; *namespace* is "" for kinds that live outside namespaces."""
        space = self._found[kind.kind].get(namespace)
        return None if space is None else cast("T | None", space.get(name))

    def of(self, kind: type[T], namespace: str = "") -> Mapping[str, T]:
        """Return the objects of a kind in one namespace, by name, in the order they came."""
        return self._found[kind.kind].get(namespace, {})

    def all(self, kind: type[T]) -> Iterator[T]:
        """Yield the objects of a kind in all namespaces."""
        for space in self._found[kind.kind].values():
            yield from space.values()

    def derived(self, key: Hashable, kinds: Sequence[str], make: Callable[[], Derived]) -> Derived:
        """Return what *make* made of the objects of *kinds*, made anew when one has changed.

        Parameters
        ----------
        key : hashable
            Names what is made, for all who ask for it.
        kinds : sequence of str
            All kinds that *make* looks at.
        make : callable
            Takes nothing.
        """
        versions = tuple(self.versions[kind] for kind in kinds)
        known = self._derived.get(key)
        if known is None or known[0] != versions:
            known = self._derived[key] = (versions, make())
        return cast("Derived", known[1])

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Return the labels of a namespace, with the name that the API server adds."""
        found = self.get(Namespace, name)
        own = {} if found is None else found.metadata.labels
        return {"kubernetes.io/metadata.name": name, **own}


def _namespace(found: ApiObject) -> str:
    return (found.metadata.namespace or "default") if found.namespaced else ""
