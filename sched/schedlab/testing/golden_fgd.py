"""Hold the GPU policies to the placements and tables of "Beware of Fragmentation" (ATC'23).

The recorded orders of pods and nodes are given to the whole control plane with no latency; what
comes out is compared pod by pod (node and GPUs) with the recorded placements, and cell by cell with
the published allocation curves. As a program it compares everything that is there::

    python -m schedlab.testing.golden_fgd GOLDEN DATA [--jobs N]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
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

POLICIES: Final = {
    "DotProd": ("gpu-dot-product", "02-DotProd"),
    "GpuClustering": ("gpu-clustering", "03-GpuClustering"),
    "GpuPacking": ("gpu-packing", "04-GpuPacking"),
    "BestFit": ("gpu-best-fit", "05-BestFit"),
    "FGD": ("fgd", "06-FGD"),
}
"""Recorded policy -> our scheduler, and its name in the published tables."""
RANDOM: Final = "01-Random"
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
        orders = self.golden / "orders"
        stem = f"{self.trace}_s{self.seed}"
        cluster = read_openb_nodes(
            self.data / "openb_node_list_gpu_node.csv", order=orders / f"{stem}_nodes.csv.gz"
        )
        workload = read_openb_pods(
            self.data / f"openb_pod_list_{self.trace}.csv",
            time="shuffled",
            packing=Packing(order=orders / f"{stem}_pods.csv.gz"),
            cluster=cluster,
        )
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


def compare(recorded: Recorded, policy: str) -> tuple[str, int, int, int]:
    """Return (what was compared, pods misplaced or -1, wrong cells of allocation, of fragments)."""
    scheduler, published = POLICIES[policy]
    record = recorded.run(scheduler)
    placements = recorded.placements(policy)
    return (
        f"{recorded.trace} {recorded.seed} {policy}",
        -1 if placements is None else misplaced(record, placements),
        wrong_cells(curve_of(record), recorded.published("allo", published)),
        wrong_cells(curve_of(record, "fragmented"), recorded.published("frag", published)),
    )


def experiments(golden: Path, data: Path) -> Iterator[Recorded]:
    """Yield all recorded experiments."""
    for path in sorted((golden / "orders").glob("*_pods.csv.gz")):
        trace, _, seed = path.name.removesuffix("_pods.csv.gz").rpartition("_s")
        yield Recorded(golden, data, trace, int(seed))


def main() -> None:
    """Compare everything and say how much agrees."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("golden", type=Path, help="directory of the recordings")
    parser.add_argument("data", type=Path, help="directory of the openb trace")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    calls = [
        joblib.delayed(compare)(recorded, policy)
        for recorded in experiments(asked.golden, asked.data)
        for policy in POLICIES
    ]
    found = joblib.Parallel(n_jobs=asked.jobs)(calls)
    wrong = [line for line in found if line[1] > 0 or line[2] or line[3]]
    for line in wrong:
        print(*line)  # noqa: T201 - it is a program
    placed = sum(line[1] == 0 for line in found)
    print(  # noqa: T201
        f"{len(found)} runs: placements recorded of {sum(line[1] >= 0 for line in found)} and "
        f"exact in {placed}; allocation exact in {sum(not line[2] for line in found)}, "
        f"fragmentation in {sum(not line[3] for line in found)}"
    )
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
