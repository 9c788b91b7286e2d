"""PrioritySort: the queue is sorted by priority, then by who came first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod


class PrioritySort:
    """Order of the queue."""

    name = "PrioritySort"

    def sort_key(self, pod: Pod, since_us: int) -> tuple[int, int]:
        """Return a key by which pods are taken, smallest first.

        *since_us* is when the pod came to the queue, or came back after its last attempt.
        """
        return -pod.pod_class.priority, since_us
