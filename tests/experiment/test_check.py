"""Files of every kind are told apart and checked."""

from pathlib import Path

import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.check import check_files
from schedlab.testing.experiments import small_experiment

ROOT = Path(__file__).parents[2]
SMALL = small_experiment()


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a file, from text or from values."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_a_packed_scenario():
    path = ROOT / "tests" / "golden" / "kube-scheduler" / "profiles" / "1.json.gz"
    ((_, text),) = check_files([path])
    assert text.startswith("a valid scenario: 42 nodes")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        pytest.param("x.yaml", SMALL, "a valid experiment of 4 runs", id="experiment"),
        pytest.param("c.yaml", SMALL["cluster"], "a valid cluster of 4 nodes", id="cluster"),
        pytest.param("w.yaml", SMALL["workload"], "30 bare pods, 4 requests", id="workload"),
        pytest.param(
            "l.yaml",
            SMALL["workload"] | {"target_load": {"value": 0.5}, "horizon": "1h"},
            "before its load is scaled",
            id="workload with a load",
        ),
        pytest.param(
            "m.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}",
            "2 Namespace",
            id="manifests",
        ),
        pytest.param(
            "k.yaml",
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n",
            "a valid KubeSchedulerConfiguration",
            id="scheduler configuration",
        ),
        pytest.param(
            "s.json",
            '{"nodes": [{"metadata": {"name": "n"}}], "pods": [{"metadata": {"name": "p"}, '
            '"spec": {"containers": [{"name": "c"}]}}]}',
            "a valid scenario: 1 nodes, 0 pods on them, 1 pending, 1 profiles",
            id="scenario",
        ),
        pytest.param(
            "n.csv", "sn,cpu_milli,memory_mib,gpu,model\na,1000,1024,0,\n", "1 nodes", id="nodes"
        ),
        pytest.param(
            "p.csv",
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1000,1024,0,0\n",
            "pod list of 1 pods",
            id="pods",
        ),
    ],
)
def test_what_a_file_is(name, content, text, written):
    ((_, said),) = check_files([written(name, content)])
    assert text in said


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted([*ROOT.glob("workloads/*.yaml"), ROOT / "workloads/manifests"])
        if "openb" not in path.name  # those need the trace
    ],
    ids=lambda path: path.name,
)
def test_the_examples_of_the_repository_are_valid(path):
    ((_, said),) = check_files([path])
    assert said.startswith(("a valid", "valid"))


def test_manifests_that_are_given_together_are_checked_together(written):
    pod = written(
        "pod.yaml",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {
                "priorityClassName": "gold",
                "containers": [{"name": "c", "image": "i"}],
            },
        },
    )
    gold = written(
        "gold.yaml",
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "gold"},
            "value": 5,
        },
    )
    assert len(check_files([pod, gold])) == 2
    with pytest.raises(InputError, match=r"Pod/default/p: spec.priorityClassName.*'gold'"):
        check_files([pod])
    with pytest.raises(InputError, match="each name once"):
        check_files([pod, gold, gold])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("x.csv", "", id="empty csv"),
        pytest.param("x.csv", "a,b\n1,2\n", id="another csv"),
        pytest.param("x.yaml", "just text", id="text"),
        pytest.param("x.yaml", "- 1\n- 2", id="list"),
        pytest.param("x.yaml", "{nothing: known}", id="unknown keys"),
    ],
)
def test_files_of_no_known_kind(name, content, written):
    path = written(name, content)
    with pytest.raises(InputError) as caught:
        check_files([path])
    assert caught.value.file == str(path)


def test_an_empty_manifest_is_one_without_objects(written):
    assert "no objects" in check_files([written("x.yaml", "")])[0][1]
