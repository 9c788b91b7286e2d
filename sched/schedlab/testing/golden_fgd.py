"""Hold the GPU policies to the placements and tables of "Beware of Fragmentation" (ATC'23).

The recorded orders of pods and nodes are given to the whole control plane with no latency; what
comes out is compared pod by pod (node and GPUs) with the recorded placements, and cell by cell with
the published allocation curves. As a program it compares everything that is there::

    python -m schedlab.testing.golden_fgd GOLDEN DATA [--jobs N] [--seeds 42 43]
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.simulation import simulate
from schedlab.record.arrivals import arrival_curve, binned
from schedlab.record.recorder import RunRecord
from schedlab.record.tables import to_frames
from schedlab.scheduling.registry import load_scheduler
from schedlab.units import DAY
from schedlab.workload.openb import Packing, read_openb_nodes, read_openb_pods
from schedlab.workload.stream import Cluster, Workload

POLICIES: Final = {
    "DotProd": ("gpu-dot-product", "02-DotProd"),
    "GpuClustering": ("gpu-clustering", "03-GpuClustering"),
    "GpuPacking": ("gpu-packing", "04-GpuPacking"),
    "BestFit": ("gpu-best-fit", "05-BestFit"),
    "FGD": ("fgd", "06-FGD"),
}
"""Recorded policy -> our scheduler, and its name in the published tables."""
RANDOM: Final = "01-Random"
CLOSE: Final = 0.5
"""Points by which the mean of Random over the recorded seeds may be off: it can't be replayed."""
IDEAL: Final = {"profile": "ideal", "scheduler": {"dropUnschedulable": True}}


@dataclass(frozen=True)
class Recorded:
    """One recorded experiment.

    Attributes
    ----------
    golden, data : Path
        Directories of the recordings and of the trace.
    trace : str
        Name of the pod list.
    seed : int
        Seed of the original's shuffles.
    """

    golden: Path
    data: Path
    trace: str
    seed: int

    def run(self, scheduler: str) -> RunRecord:
        """Give the recorded orders to one of our schedulers."""
        cluster, workload = _inputs(self)
        return simulate(
            cluster,
            workload,
            {"default-scheduler": load_scheduler(scheduler)},
            config=ControlPlaneConfig.model_validate(IDEAL),
            seed=self.seed,
            sample_period_us=DAY,
        )

    def placements(self, policy: str) -> pd.DataFrame | None:
        """Return the recorded placements of a policy; None where they were not recorded."""
        path = self.golden / "placements" / f"{self.trace}_s{self.seed}_{policy}.csv.gz"
        return pd.read_csv(path, dtype=str).fillna("") if path.is_file() else None

    def published(self, table: str, policy: str) -> NDArray[np.float64]:
        """Return a published curve at 0 to 130 per cent of demand; *table* as ``allo``."""
        frame = _published(self.golden, table)
        rows = frame["workload"].eq(f"openb_pod_list_{self.trace}")
        rows &= frame["sc_policy"].eq(policy) & frame["seed"].eq(self.seed)
        (cells,) = frame.loc[rows, [str(percent) for percent in range(131)]].to_numpy(np.float64)
        return cells


@lru_cache(maxsize=1)  # the policies of one experiment come one after the other
def _inputs(recorded: Recorded) -> tuple[Cluster, Workload]:
    orders = recorded.golden / "orders"
    stem = f"{recorded.trace}_s{recorded.seed}"
    cluster = read_openb_nodes(
        recorded.data / "openb_node_list_gpu_node.csv", order=orders / f"{stem}_nodes.csv.gz"
    )
    workload = read_openb_pods(
        recorded.data / f"openb_pod_list_{recorded.trace}.csv",
        time="shuffled",
        packing=Packing(order=orders / f"{stem}_pods.csv.gz"),
        cluster=cluster,
    )
    return cluster, workload


@cache
def _published(golden: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(golden / f"published_{table}.csv.gz")


def misplaced(record: RunRecord, recorded: pd.DataFrame) -> int:
    """Return how many pods stand on another node or GPU than the recorded one."""
    pods = to_frames(record)["pods"]
    names = "default/" + recorded["pod"]
    if list(pods["pod"]) != list(names):
        return len(names)
    nodes, gpus = pods["node"].fillna(""), pods["gpu_index"].fillna("")
    return int(((nodes != recorded["node"]) | (gpus != recorded["gpu_index"])).sum())


def curve_of(record: RunRecord, column: str = "allocated") -> NDArray[np.float64]:
    """Return a curve at 0 to 130 per cent of demand, as the published tables print it."""
    frames = to_frames(record)
    curve = arrival_curve(frames["pods"], frames["nodes"], frames.get("fragments"))
    return np.round(binned(curve, column), 2)


def wrong_cells(found: NDArray[np.float64], published: NDArray[np.float64]) -> int:
    """Return how many cells of a curve aren't the published ones; empty cells have to agree."""
    return int((~((found == published) | (np.isnan(found) & np.isnan(published)))).sum())


@dataclass(frozen=True)
class Agreement:
    """How far one run agrees with what is recorded of it.

    Attributes
    ----------
    name : str
        Trace, seed and policy.
    misplaced : int
        Pods on another node or GPU; -1 where no placements were recorded.
    allocation, fragments : int
        Cells of the published curves that are others.
    """

    name: str
    misplaced: int
    allocation: int
    fragments: int

    @property
    def exact(self) -> bool:
        """Return whether nothing differs."""
        return self.misplaced <= 0 and not self.allocation and not self.fragments

    def __str__(self) -> str:
        """Return a line about it."""
        pods = "no placements recorded" if self.misplaced < 0 else f"{self.misplaced} misplaced"
        cells = f"{self.allocation} + {self.fragments} of 131 + 131 cells differ"
        return f"{self.name}: {pods}, {cells}"


def compare(recorded: Recorded, policy: str) -> Agreement:
    """Compare a run of one of `POLICIES`."""
    scheduler, published = POLICIES[policy]
    record = recorded.run(scheduler)
    placements = recorded.placements(policy)
    return Agreement(
        f"{recorded.trace} {recorded.seed} {policy}",
        -1 if placements is None else misplaced(record, placements),
        wrong_cells(curve_of(record), recorded.published("allo", published)),
        wrong_cells(curve_of(record, "fragmented"), recorded.published("frag", published)),
    )


def off_at_random(recorded: Recorded) -> tuple[str, NDArray[np.float64]]:
    """Return by how much a random run's allocation is above the published one, for each cell."""
    curve = curve_of(recorded.run("gpu-random"))
    return recorded.trace, curve - recorded.published("allo", RANDOM)


def experiments(golden: Path, data: Path, seeds: Collection[int] = ()) -> list[Recorded]:
    """Return the recorded experiments, of these seeds or of all, seed by seed."""
    found = []
    for path in (golden / "orders").glob("*_pods.csv.gz"):
        trace, _, seed = path.name.removesuffix("_pods.csv.gz").rpartition("_s")
        if not seeds or int(seed) in seeds:
            found.append(Recorded(golden, data, trace, int(seed)))
    return sorted(found, key=lambda recorded: (recorded.seed, recorded.trace))


def main() -> None:
    """Compare everything and say how much agrees."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("golden", type=Path, help="directory of the recordings")
    parser.add_argument("data", type=Path, help="directory of the openb trace")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="*", default=(), help="only these")
    asked = parser.parse_args()
    every = experiments(asked.golden, asked.data, asked.seeds)
    parallel = joblib.Parallel(n_jobs=asked.jobs, return_as="generator")
    exact = total = 0
    for found in parallel(
        joblib.delayed(compare)(one, policy) for one in every for policy in POLICIES
    ):
        say(str(found))
        exact, total = exact + found.exact, total + 1
    off: dict[str, list[NDArray[np.float64]]] = {}
    for trace, difference in parallel(joblib.delayed(off_at_random)(one) for one in every):
        off.setdefault(trace, []).append(difference)
    worst = 0.0
    for trace, rows in sorted(off.items()):
        mean = np.mean(rows, axis=0)
        largest = float(np.abs(mean).max())
        say(
            f"{trace} Random, mean of {len(rows)} seeds: {mean[100]:+.2f} points at 100 %, "
            f"{mean[130]:+.2f} at 130 %, at most {largest:.2f} anywhere"
        )
        worst = max(worst, largest)
    say(f"{exact} of {total} runs exact; Random within {worst:.2f} points")
    raise SystemExit(exact < total or worst > CLOSE)


def say(text: str) -> None:
    """Print a line at once, as the next one may take a while."""
    print(text, flush=True)  # noqa: T201 - it is a program


if __name__ == "__main__":
    from schedlab.testing import golden_fgd

    golden_fgd.main()  # workers look up what they call by the module's name
