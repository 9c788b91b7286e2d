"""How few pods anybody could leave out, where pods stay: a bound beside the schedulers' results.

python experiments/learned_bounds.py experiments/learned-heldout-packing.yaml [SEED ...]

For each scenario and seed, the pods that can't be placed even if all of them were known beforehand:
all that come, less what the linear relaxation of the whole placement problem places at most. No
scheduler can drop fewer; one that decides as pods come can't be expected to drop as few.
"""

from __future__ import annotations

import sys

import numpy as np

from schedlab.experiment.build import build_scenario
from schedlab.experiment.run import make_plan
from schedlab.experiment.training import all_at_once
from schedlab.scheduling.ilp.builder import build_model
from schedlab.scheduling.ilp.judged import placed_bounds


def main(path: str, *seeds: str) -> None:
    """Print the bounds of an experiment."""
    for scenario in make_plan(path).scenarios:
        least = []
        for seed in [int(s) for s in seeds] or scenario.experiment.seeds:
            state, pods = all_at_once(*build_scenario(scenario, seed))
            (most,) = placed_bounds(build_model(pods, state))
            least.append(len(pods) - most)
        print(  # noqa: T201
            f"{scenario.name}: at least {np.mean(least):.2f} pods dropped, mean of {len(least)} "
            f"seeds (from {min(least):.0f} to {max(least):.0f})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
