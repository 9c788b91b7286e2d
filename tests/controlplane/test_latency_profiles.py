"""The profiles: ideal takes no time, kubemark reproduces what was measured, sections merge."""

import numpy as np
import pytest

from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.testing.runs import pods_at, small_node, small_run

# kubernetes/kubernetes#42000, hollow nodes: p50, p90, p99 in seconds
MEASURED = {
    ("created_us", "decided_us"): (0.0093, 0.0131, 0.0246),
    ("decided_us", "started_us"): (0.200, 0.602, 0.731),
    ("started_us", "ready_us"): (1.025, 1.695, 2.046),
    ("created_us", "ready_us"): (1.139, 1.745, 2.057),
}


@pytest.fixture(scope="module")
def kubemark_pods():
    work = pods_at(*((0.25 * i, 60.0) for i in range(4_000)))
    nodes = [small_node(f"n{i}", cpu=32_000) for i in range(100)]
    return small_run(work, nodes=nodes, config="kubemark").run().tables["pods"]


@pytest.mark.parametrize("segment", [s for s in MEASURED if s != ("created_us", "ready_us")])
def test_kubemark_reproduces_each_measured_segment(kubemark_pods, segment):
    start, stop = segment
    seconds = (kubemark_pods[stop] - kubemark_pods[start]) / 1e6
    found = np.quantile(seconds, (0.5, 0.9, 0.99))
    assert found == pytest.approx(MEASURED[segment], rel=0.10)


def test_kubemark_reproduces_the_whole_way_but_for_independence(kubemark_pods):
    """The stages are drawn independently, the measured ones were not: the tail comes out longer."""
    seconds = (kubemark_pods["ready_us"] - kubemark_pods["created_us"]) / 1e6
    found = np.quantile(seconds, (0.5, 0.9, 0.99))
    measured = np.array(MEASURED["created_us", "ready_us"])
    assert found[0] == pytest.approx(measured[0], rel=0.15)
    assert (found[1:] >= measured[1:]).all()
    assert (found[1:] <= 1.3 * measured[1:]).all()


def test_a_section_is_laid_over_its_profile():
    config = ControlPlaneConfig.model_validate(
        {"profile": "kubemark", "scheduler": {"qps": 500}, "kubelet": {"sandbox": "1s"}}
    )
    assert (config.scheduler.qps, config.scheduler.burst) == (500, 100)
    assert config.kubelet.sandbox == "1s"
    assert config.kubelet.container_start == {"quantiles": {0.5: "192ms", 0.9: "594ms",
                                                            0.99: "723ms"}}  # fmt: skip


def test_a_latency_is_replaced_as_a_whole():
    config = ControlPlaneConfig.model_validate(
        {"watch": {"scheduler": {"exponential": {"mean": 1}}}}
    )
    assert config.watch.scheduler == {"exponential": {"mean": 1}}


def test_a_latency_from_a_file_is_read_into_the_config(tmp_path):
    (tmp_path / "starts.csv").write_text("s\n0.2\n0.1\n")
    config = ControlPlaneConfig.model_validate(
        {"kubelet": {"containerStart": {"empirical": "starts.csv"}}}, context={"base": tmp_path}
    )
    assert config.kubelet.container_start == {"empirical": ["100000us", "200000us"]}
    again = ControlPlaneConfig.model_validate(config.model_dump(by_alias=True))
    assert again == config


@pytest.mark.parametrize("name", ["ideal", "kubemark", "default"])
def test_profiles_survive_a_round_trip(name):
    config = ControlPlaneConfig(profile=name)
    assert ControlPlaneConfig.model_validate(config.model_dump(by_alias=True)) == config


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"profile": "real"}, id="unknown profile"),
        pytest.param({"etcd": {"fsync": "1ms"}}, id="unknown key"),
        pytest.param({"etcd": {"commit": "-1ms"}}, id="negative latency"),
        pytest.param({"scheduler": {"qps": -1}}, id="negative rate"),
        pytest.param({"kubelet": {"defaultImageSize": "0"}}, id="no size"),
    ],
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValueError, match=r"\S"):
        ControlPlaneConfig.model_validate(bad)
