"""What a decision of the scheduler `learned` costs beside one of `kube-scheduler`."""

import sys

import pytest

from schedlab.experiment.bench import Way, run_separately
from schedlab.experiment.bench_specs import find

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("workload", ["SchedulingBasic", "MixedSchedulingBasePod"])
def test_a_decision_costs_at_most_three_times_kube_schedulers(benchmark, workload):
    spec = find(workload)  # at 5,000 nodes

    def cost_us(scheduler):
        """Return processor time per decision, pods decided on one by one."""
        result = run_separately(spec, Way(scheduler=scheduler, batch=1))
        assert result.nodes == 5_000
        assert result.unschedulable == 0
        return 1e6 * result.cpu_s / result.attempts

    costs = {"kube-scheduler": [], "learned": []}

    def run():
        for name, found in costs.items():  # in turn, so that both meet the same other load
            found.append(cost_us(name))

    benchmark.pedantic(run, rounds=3)
    best = {name: min(found) for name, found in costs.items()}
    ratio = best["learned"] / best["kube-scheduler"]
    benchmark.extra_info.update(best, ratio=ratio)
    sys.stderr.write(
        f"\n{workload}: {best['learned']:.1f} us a decision, kube-scheduler "
        f"{best['kube-scheduler']:.1f} us, ratio {ratio:.2f}\n"
    )
    assert ratio <= 3
