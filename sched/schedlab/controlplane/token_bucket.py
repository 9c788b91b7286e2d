"""How fast a component may talk to the API server: the client-side token bucket.

Every client of Kubernetes limits itself (``qps`` and ``burst``); with upstream's defaults the
scheduler binds at most 50 pods a second once its burst of 100 is spent, which hides most effects of
a faster policy. The bucket is kept as the time at which it would be full (a "virtual scheduling"
form of the leaky bucket, ITU-T I.371), so that it needs no events.
"""

from __future__ import annotations


class TokenBucket:
    """Times at which requests may go out.

    Parameters
    ----------
    qps : float
        Tokens per second; 0 = no limit.
    burst : int
        Tokens that a full bucket holds.
    """

    __slots__ = ("_interval_us", "_slack_us", "_theoretical_us")

    def __init__(self, qps: float, burst: int) -> None:
        self._interval_us = 0 if qps == 0 else max(1, round(1_000_000 / qps))
        self._slack_us = self._interval_us * (burst - 1)
        self._theoretical_us = 0

    def take(self, now_us: int) -> int:
        """Take a token and return when the request goes out, *now_us* or later."""
        interval = self._interval_us
        if interval == 0:
            return now_us
        theoretical = max(self._theoretical_us, now_us)
        self._theoretical_us = theoretical + interval
        return max(now_us, theoretical - self._slack_us)
