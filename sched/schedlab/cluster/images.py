"""Which nodes have which image, as kube-scheduler's cache keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from schedlab.api.objects import ContainerImage


@dataclass(slots=True)
class ImageState:
    """An image under one of its names.

    Attributes
    ----------
    size_bytes : int
        As the first of the nodes that have it reports; what others report is not looked at.
    rows : set of int
        The nodes that have it.
    """

    size_bytes: int
    rows: set[int] = field(default_factory=set)


class Images:
    """Images by name."""

    __slots__ = ("_states",)

    def __init__(self) -> None:
        self._states: dict[str, ImageState] = {}

    def get(self, name: str) -> ImageState | None:
        """Return an image, or None when no node has it."""
        return self._states.get(name)

    def add(self, row: int, images: Iterable[ContainerImage]) -> None:
        """Note that the node in *row* has *images*."""
        for image in images:
            for name in image.names:
                state = self._states.get(name)
                if state is None:
                    state = self._states[name] = ImageState(image.size_bytes)
                state.rows.add(row)

    def remove(self, row: int, images: Iterable[ContainerImage]) -> None:
        """Note that the node in *row* no longer has *images*."""
        for image in images:
            for name in image.names:
                state = self._states.get(name)
                if state is not None:
                    state.rows.discard(row)
                    if not state.rows:
                        del self._states[name]
