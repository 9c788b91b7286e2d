"""Compare cluster schedulers on a simulated Kubernetes cluster.

``run`` makes an experiment from a file, ``simulate`` one from DataFrames, ``load`` reads results
that are there. All three return `Results`, which compare, plot and report. A scheduler of one's own
is a class with ``schedule(pods, view, rng) -> Placement``, or a function.

Everything is imported when it is first used, so that ``import schedlab`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schedlab.errors import InputError
    from schedlab.experiment.api import compare, run, simulate
    from schedlab.experiment.config import Experiment
    from schedlab.experiment.results import Results, load
    from schedlab.rng import Draws
    from schedlab.scheduling.base import (
        Placement,
        Pod,
        PodBatch,
        Scheduler,
        Trigger,
        Verdict,
    )
    from schedlab.scheduling.functions import scheduler
    from schedlab.scheduling.view import ClusterView

    __version__: str

__all__ = [
    "ClusterView",
    "Draws",
    "Experiment",
    "InputError",
    "Placement",
    "Pod",
    "PodBatch",
    "Results",
    "Scheduler",
    "Trigger",
    "Verdict",
    "__version__",
    "compare",
    "load",
    "run",
    "scheduler",
    "simulate",
]

_HOMES = {
    "ClusterView": "schedlab.scheduling.view",
    "Draws": "schedlab.rng",
    "Experiment": "schedlab.experiment.config",
    "InputError": "schedlab.errors",
    "Placement": "schedlab.scheduling.base",
    "Pod": "schedlab.scheduling.base",
    "PodBatch": "schedlab.scheduling.base",
    "Results": "schedlab.experiment.results",
    "Scheduler": "schedlab.scheduling.base",
    "Trigger": "schedlab.scheduling.base",
    "Verdict": "schedlab.scheduling.base",
    "compare": "schedlab.experiment.api",
    "load": "schedlab.experiment.results",
    "run": "schedlab.experiment.api",
    "scheduler": "schedlab.scheduling.functions",
    "simulate": "schedlab.experiment.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("schedlab")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
