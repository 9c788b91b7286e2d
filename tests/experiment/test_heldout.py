"""What models are tested on took no part in their training, by seed and by kind."""

from pathlib import Path

import pytest
import yaml

from schedlab.experiment.run import make_plan

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
HELD_OUT = sorted(EXPERIMENTS.glob("learned-heldout*.yaml"))
TRAINED = sorted(EXPERIMENTS.glob("train-*.yaml"))
MADE_UP = [path for path in HELD_OUT if "trace" not in path.read_text().split("schedulers:")[0]]
HAND_WRITTEN = {
    "gpu": {
        "fgd",
        "fgd-stranded",
        "gpu-best-fit",
        "gpu-clustering",
        "gpu-dot-product",
        "gpu-packing",
        "gpu-random",
    },
    "resources": {
        "best-fit",
        "dot-product",
        "first-fit",
        "kube-scheduler",
        "random",
        "worst-fit",
    },
}


def loaded(path):
    return yaml.safe_load(path.read_text())


def known():
    """Return the kinds of workload and the seeds of training and validation."""
    kinds, seeds = set(), set()
    for path in TRAINED:
        for entry in (*loaded(path)["training"], *loaded(path)["validation"]):
            seeds |= set(entry["seeds"])
            kinds |= kinds_of(entry)
    return kinds, seeds


def kinds_of(entry):
    """Return the files of made-up pods, or the pod lists of a trace."""
    if isinstance(entry["workload"], str):
        return {entry["workload"]}
    ((name, trace),) = entry["workload"]["trace"].items()
    lists = entry.get("matrix", {}).get("workload.trace.openb.pods", [trace.get("pods")])
    return {(name, pods) for pods in lists}


@pytest.mark.parametrize("path", HELD_OUT, ids=lambda path: path.stem)
def test_no_seed_and_no_kind_was_trained_or_validated_on(path):
    kinds, seeds = known()
    document = loaded(path)
    assert len(set(document["seeds"]) - seeds) == 20
    if path.stem == "learned-heldout-spot":  # known pods on other nodes
        assert "spot2026" in document["cluster"]["trace"]
        assert kinds_of(document) <= kinds
    else:
        assert not kinds_of(document) & kinds


@pytest.mark.parametrize("path", HELD_OUT, ids=lambda path: path.stem)
def test_every_hand_written_policy_is_compared_with(path):
    document = loaded(path)
    used = {entry["name"]: entry["use"] for entry in document["schedulers"]}
    assert document["baseline"] == "learned"
    (learned,) = [entry for entry in document["schedulers"] if entry["name"] == "learned"]
    assert HAND_WRITTEN[learned["options"]["model"]] <= set(used.values())
    if learned["options"]["model"] == "gpu":
        assert {"MostAllocated", "RequestedToCapacityRatio"} <= set(used)


@pytest.mark.parametrize("path", MADE_UP, ids=lambda path: path.stem)
def test_it_is_an_experiment_that_can_be_run(path):
    plan = make_plan(path)
    assert len(plan.runs) == 20 * len(plan.scenarios) * len(loaded(path)["schedulers"])
