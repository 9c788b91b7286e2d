"""The compiled replay places as the simulation does with the same model."""

import numpy as np
import pytest

from schedlab.experiment.problems import problem_of
from schedlab.rng import Draws
from schedlab.scheduling.learned.features import KINDS, NAMES
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.replay import replay
from schedlab.scheduling.learned.scheduler import Learned
from schedlab.testing.gpu_pods import made_up
from schedlab.testing.runs import checked, pods_at, small_run, texts


def some_model(seed, units=0, levels=1e6):
    draw = Draws(seed, "model").generator()
    features, kinds = len(NAMES), len(KINDS)
    return Model(
        draw.normal(size=(kinds, features)),
        draw.normal(size=(units, features)),
        draw.normal(size=(kinds, units)),
        draw.normal(size=units),
        levels,
    )


def placed_by_simulation(cluster, workload, model):
    run = small_run(workload, nodes=cluster.nodes, scheduler=Learned(model, tie_break="first"))
    record = checked(run)
    names = [node.metadata.name for node in cluster.nodes]
    order = np.argsort([int(text.rpartition("p")[2]) for text in texts(record, "pod")])
    rows = [names.index(text) if text else -1 for text in texts(record, "node")]
    return np.array(rows)[order]


@pytest.mark.parametrize(
    ("seed", "units", "levels"),
    [
        pytest.param(0, 0, 1e6, id="linear"),
        pytest.param(1, 0, 10.0, id="many ties"),
        pytest.param(2, 3, 1e6, id="hidden units"),
        pytest.param(3, 0, 1e6, id="another draw"),
    ],
)
def test_pods_that_stay_go_where_the_simulation_puts_them(seed, units, levels):
    cluster, workload = made_up(seed)
    model = some_model(seed, units, levels)
    placed = replay(problem_of(cluster, workload, coverage=0.95), model)
    assert placed.node.tolist() == placed_by_simulation(cluster, workload, model).tolist()
    assert (placed.node < 0).any()  # something had to be refused, else all agree for free


@pytest.mark.parametrize("seed", [0, 1])
def test_pods_that_leave_make_room(seed):
    cluster, workload = made_up(seed, 120, lasting=8.0)
    placed = replay(problem_of(cluster, workload), some_model(seed))
    assert (placed.node >= 0).all()
    assert (placed.wait_us >= 0).all()


def test_a_pod_waits_until_another_leaves():
    cluster, _ = made_up(0)
    workload = pods_at((0, 10), (1, None), (2, 3), (3, 5))  # of 1 cpu each, on a node with 2
    one = cluster.nodes[3].model_copy(
        update={
            "status": cluster.nodes[3].status.model_copy(
                update={"allocatable": {"cpu": 2_000, "memory": 1 << 30, "pods": 9}}
            )
        }
    )
    problem = problem_of(type(cluster)("one", (one,), ()), workload)
    placed = replay(problem, Model.of({"cpu_left": 1.0}))
    # the first leaves at 10 s and makes room for the third, which leaves at 13 s
    assert placed.wait_us.tolist() == [0, 0, 8_000_000, 10_000_000]
