"""DefaultBinder: bind a pod to its node through the API server."""

from __future__ import annotations

from schedlab.scheduling.framework.interface import Cycle


class DefaultBinder:
    """Leave the binding to whoever runs the cycle.

    A policy has no way to the API server: the scheduler component writes the binding, and a
    decision without a control plane assumes it. This plugin says that it is to be done.
    """

    name = "DefaultBinder"

    def bind(self, cycle: Cycle, row: int) -> bool:
        """Return False: not bound yet, so the caller does it the default way."""
        return False
