"""Small experiments for tests: a few nodes, a few dozen pods, a fraction of a second a run."""

from __future__ import annotations

from typing import Any


def small_experiment(**changes: Any) -> dict[str, Any]:
    """Return an experiment as plain values: 4 nodes, about 40 pods that don't all fit at once.

    Parameters
    ----------
    **changes
        Keys of the experiment to replace.

    Examples
    --------
    >>> small_experiment(seeds=1)["schedulers"]
    ['first-fit', 'worst-fit']
    """
    return {
        "name": "small",
        "description": "Does it matter which node comes first?",
        "cluster": {
            "pools": [
                {"name": "node", "count": 4, "allocatable": {"cpu": 4, "memory": "8Gi"}},
            ]
        },
        "workload": {
            "items": [
                {
                    "name": "task",
                    "kind": "Pod",
                    "count": 30,
                    "arrivals": {"process": "poisson", "rate": "1/s"},
                    "requests": {"cpu": {"choices": {"500m": 2, "3": 1}}, "memory": "256Mi"},
                    "duration": {"exponential": {"mean": "15s"}},
                },
                {
                    "name": "batch",
                    "kind": "Job",
                    "count": 4,
                    "arrivals": {"process": "regular", "interval": "5s"},
                    "completions": 2,
                    "requests": {"cpu": 1, "memory": "512Mi"},
                    "duration": "10s",
                },
            ]
        },
        "schedulers": ["first-fit", "worst-fit"],
        "seeds": 2,
        "sample_period": "10s",
        **changes,
    }
