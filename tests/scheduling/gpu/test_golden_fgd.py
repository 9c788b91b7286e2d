"""Placements of the whole chain: a small cluster by hand, then the recorded ones of the paper."""

from pathlib import Path

import numpy as np
import pytest

from schedlab.scheduling.registry import load_scheduler
from schedlab.testing.golden_fgd import (
    IDEAL,
    POLICIES,
    Recorded,
    curve_of,
    misplaced,
    off_at_random,
    wrong_cells,
)
from schedlab.testing.gpus import gpu_node, gpu_template
from schedlab.testing.runs import checked, pods_at, small_run, texts

SHARED = Path(__file__).parents[4] / "shared"
GOLDEN, DATA = SHARED / "golden" / "fgd", SHARED / "data" / "openb"
recorded = pytest.mark.skipif(
    not (GOLDEN.is_dir() and DATA.is_dir()), reason=f"nothing is recorded at {GOLDEN}"
)

HALF, WHOLE, MOST, PAIR, P100 = (
    gpu_template(1, 500),
    gpu_template(1),
    gpu_template(1, 600),
    gpu_template(2),
    gpu_template(1, 400, models="P100"),
)
NODES = (gpu_node("a", 2, model="T4", cpu=16_000), gpu_node("b", 2, model="P100", cpu=16_000))
ARRIVALS = (HALF, HALF, WHOLE, MOST, PAIR, P100)
FILLING = [("a", "0"), ("a", "0"), ("a", "1"), ("b", "0"), (None, None), ("b", "0")]
"""Both nodes are alike to the first pod: a. The second fills the GPU of the first, a whole one goes
to the other GPU of a, 600 and 400 share one of b, and two idle GPUs are nowhere left."""


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        pytest.param(
            # least left: 15 cpus and 1,500 of a against 16 and 2,000 of b, and so on
            "gpu-best-fit", FILLING, id="best fit"
        ),
        pytest.param(
            # smallest product of what is left and what is asked: a again, as less is left there
            "gpu-dot-product", FILLING, id="dot product"
        ),
        pytest.param(
            # 31 31 | a 100 - 50/10 = 95, b 31 | idle GPU of a used node 49, idle node 31
            "gpu-packing", FILLING, id="packing"
        ),
        pytest.param(
            # 43 43 | a 20 + 75, b 43 | a 21, b 43: a whole GPU goes to b, away from the shares;
            # 600: a 21 + 75 = 96 (its second GPU), b 21; P100: the second GPU of b
            "gpu-clustering",
            [("a", "0"), ("a", "0"), ("b", "0"), ("a", "1"), (None, None), ("b", "1")],
            id="clustering",
        ),
        pytest.param(
            # typical pods want a whole GPU: 500 left are lost. 0 to .5: 37 37 | a .5 to 0: 62,
            # b 37 | 50 50 | only b has 600 | none | GPU 0 of b .4 to 0, GPU 1 .4 to 1: 0
            "fgd", FILLING, id="FGD"
        ),
    ],
)  # fmt: skip
def test_a_cluster_by_hand(scheduler, expected):
    work = pods_at(*((at, None) for at in range(6)), templates=ARRIVALS, template=range(6))
    object.__setattr__(work, "mix", {(1_000, 1000, 1, ""): 1})
    run = small_run(work, nodes=NODES, scheduler=load_scheduler(scheduler), config=IDEAL)
    record = checked(run)
    found = zip(texts(record, "node"), texts(record, "gpu_index"), strict=True)
    assert list(found) == expected
    assert record.counts["dropped"] == 1


@recorded
@pytest.mark.parametrize(
    ("trace", "policy"),
    [
        *(("default", policy) for policy in POLICIES),
        ("gpuspec10", "FGD"),
        ("multigpu20", "GpuClustering"),
    ],
)
def test_every_placement_and_every_published_cell(trace, policy):
    experiment = Recorded(GOLDEN, DATA, trace, 42)
    scheduler, published = POLICIES[policy]
    record = experiment.run(scheduler)
    assert misplaced(record, experiment.placements(policy)) == 0
    assert wrong_cells(curve_of(record), experiment.published("allo", published)) == 0
    fragmented = curve_of(record, "fragmented")
    assert wrong_cells(fragmented, experiment.published("frag", published)) == 0


@recorded
def test_random_is_near_the_published_one():
    _, off = off_at_random(Recorded(GOLDEN, DATA, "cpu100", 42))
    assert np.abs(off[[100, 130]]).max() < 1.5  # each of the two runs deviates by .3 from the mean
