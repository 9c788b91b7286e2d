"""Manifests in and out, and what users are told when they slip."""

import gzip
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from schedlab.api import ModelWarning
from schedlab.api.manifests import (
    IGNORED_KINDS,
    parse_manifests,
    parse_object,
    read_manifests,
    write_manifest,
)
from schedlab.api.objects import KINDS, ApiObject, Deployment, Node, Pod
from schedlab.errors import InputError
from schedlab.units import amount

DATA = Path(__file__).parent / "data"
DUMP = DATA / "kubectl-get.yaml"

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
"""
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c}]
"""


def only(text: str) -> ApiObject:
    [found] = parse_manifests(text)
    return found


def test_reads_what_kubectl_prints() -> None:
    found = read_manifests(DUMP)
    assert [(o.kind, o.key) for o in found] == [
        ("Node", "worker-1"),
        ("Deployment", "shop/web"),
        ("Pod", "shop/web-5d78c9b6f4-x2x8k"),
        ("Service", "shop/web"),
        ("Job", "shop/report"),
        ("PriorityClass", "system-node-critical"),
    ]
    node, web, pod = found[:3]
    assert isinstance(node, Node)
    assert isinstance(web, Deployment)
    assert isinstance(pod, Pod)
    assert node.status.allocatable["cpu"] == 3920
    assert node.status.allocatable["memory"] == 15163088 * 1024
    assert node.status.images[0].size_bytes == 319718
    assert node.spec.unschedulable
    assert web.spec.template.spec.containers[0].resources.requests == {"cpu": 250, "memory": 2**28}
    assert web.spec.strategy.rolling_update is not None
    assert web.spec.strategy.rolling_update.max_surge == "25%"
    assert pod.metadata.owner_references[0].controller
    assert pod.status.start_time == "2025-11-03T10:00:02Z"


def test_what_is_written_reads_the_same() -> None:
    for found in read_manifests(DUMP):
        document = write_manifest(found)
        assert list(document)[:2] == ["apiVersion", "kind"]
        assert parse_object(json.loads(json.dumps(document))) == found
        assert parse_manifests(yaml.safe_dump(document)) == [found]


def test_writing_leaves_out_what_was_never_set() -> None:
    text = POD + "    resources: {requests: {cpu: 0.5, memory: 1024Mi, nvidia.com/gpu: '1'}}\n"
    assert write_manifest(only(text)) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "resources": {
                        "requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
                    },
                }
            ]
        },
    }


def test_nulls_count_as_absent() -> None:
    found = only(POD + "    resources: null\n  nodeSelector:\n  priority: null\nstatus: {}\n")
    assert found == only(POD).model_copy()
    assert isinstance(found, Pod)
    assert found.spec.priority is None
    assert found.spec.restart_policy is None
    assert found.spec.scheduler_name == "default-scheduler"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD + "---\n" + WEB, id="stream"),
        pytest.param(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "List",
                    "items": [*yaml.safe_load_all(POD), *[yaml.safe_load(WEB)]],
                }
            ),
            id="JSON list",
        ),
        pytest.param(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "List",
                    "items": [
                        {"apiVersion": "v1", "kind": "PodList", "items": [yaml.safe_load(POD)]},
                        yaml.safe_load(WEB),
                    ],
                }
            ),
            id="list of lists",
        ),
    ],
)
def test_forms_of_many_objects(text: str) -> None:
    assert [o.key for o in parse_manifests(text)] == ["default/p", "default/web"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    items = [{k: v for k, v in yaml.safe_load(POD).items() if k in ("metadata", "spec")}]
    text = json.dumps({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})
    assert only(text) == only(POD)


def test_reads_files_plain_and_gzipped_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(POD, encoding="utf-8")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(yaml.safe_load(WEB)).encode()))
    (tmp_path / "c.yml").write_bytes(b"\xef\xbb\xbf" + JOB.encode())
    (tmp_path / "notes.txt").write_text("no manifest", encoding="utf-8")
    assert [o.key for o in read_manifests(tmp_path)] == ["default/web", "default/p", "default/j"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        pytest.param("x.yaml", None, "expected a file, found nothing", id="missing"),
        pytest.param("x.yaml", b"a: \xff", "UTF-8 text, found byte 0xff at 3", id="not UTF-8"),
        pytest.param("x.yaml.gz", b"plain", "expected a readable file", id="not gzipped"),
        pytest.param(
            "x.json.gz", gzip.compress(b"{}" * 99)[:-9], "expected a readable file", id="cut off"
        ),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_manifests(path)
    assert caught.value.file == str(path)


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedlab.api.manifests.MAX_TEXT", 1000)
    (tmp_path / "x.yaml").write_text("#" * 1001, encoding="utf-8")
    (tmp_path / "y.yaml.gz").write_bytes(gzip.compress(b"#" * 100_000))
    with pytest.raises(InputError, match="at most 1000 bytes, found 1001 bytes"):
        read_manifests(tmp_path / "x.yaml")
    with pytest.raises(InputError, match="at most 1000 bytes, found more, once unpacked"):
        read_manifests(tmp_path / "y.yaml.gz")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected files \.yaml, .*, found none"):
        read_manifests(tmp_path)


REFUSED = yaml.safe_load((DATA / "refused.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case['field']} {case['expected']}")
def test_refuses(case: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_manifests(case["manifest"], file="some.yaml")
    error = caught.value
    assert (error.file, error.field) == ("some.yaml", case["field"])
    assert case["expected"] in error.expected
    nearest = re.search(r"did you mean '(.*)'\?", error.hint)
    assert (nearest[1] if nearest else "") == case.get("hint", "")
    assert len(str(error)) < 400


def test_one_of_many_errors_is_shown_and_the_others_counted() -> None:
    text = (
        POD + "    resources: {requests: {cpu: -1, memory: -1}}\n  priority: x\n  hostNetwork: 1\n"
    )
    with pytest.raises(InputError, match=r"\(2 more after this\)"):
        parse_manifests(text)


@pytest.mark.parametrize("kind", sorted(IGNORED_KINDS))
def test_kinds_that_do_not_matter_are_skipped_with_a_warning(kind: str) -> None:
    text = f"apiVersion: x/v1\nkind: {kind}\nmetadata: {{name: a}}\n---\n{POD}"
    with pytest.warns(ModelWarning, match=f"{kind} objects are skipped"):
        found = parse_manifests(text)
    assert [o.kind for o in found] == ["Pod"]


def test_every_kind_says_where_it_lives() -> None:
    assert IGNORED_KINDS.isdisjoint(KINDS)
    for kind, model in KINDS.items():
        assert model.kind == kind
        assert model.api_version.endswith("v1")
    outside = {kind for kind, model in KINDS.items() if not model.namespaced}
    assert outside == {
        "Node",
        "Namespace",
        "PriorityClass",
        "PersistentVolume",
        "StorageClass",
        "CSINode",
        "CSIDriver",
        "VolumeAttachment",
    }


def recorded() -> list[tuple[str, dict[str, Any]]]:
    golden = Path(__file__).parents[1] / "golden/kube-scheduler/mixed/0.admitted.json.gz"
    scenario = json.loads(gzip.decompress(golden.read_bytes()))
    kinds = {kind.lower() + "s": kind for kind in KINDS}
    kinds |= {
        "priorityclasses": "PriorityClass",
        "storageclasses": "StorageClass",
        "csistoragecapacities": "CSIStorageCapacity",
        "pdbs": "PodDisruptionBudget",
        "pvcs": "PersistentVolumeClaim",
        "pvs": "PersistentVolume",
    }
    return [(kinds[key], d) for key, ds in scenario.items() if key in kinds for d in ds or ()]


def test_reads_and_writes_a_recorded_cluster() -> None:
    documents = recorded()
    assert len(documents) > 100
    for kind, document in documents:
        found = parse_object(document, kind=kind)
        assert found is not None
        again = write_manifest(found)
        assert parse_object(again) == found
        for name, text in document.get("status", {}).get("allocatable", {}).items():
            assert amount(name, again["status"]["allocatable"][name]) == amount(name, text)


def test_warnings_are_not_raised_for_plain_objects() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_manifests(DUMP)) == 6


def test_a_gigabyte_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(InputError, match="at most 268435456 bytes, found 1073741824 bytes"):
        read_manifests(path)


@pytest.mark.bench
@pytest.mark.parametrize("index", [0, 2], ids=["Node", "Pod"])
def test_parsing_takes_less_than_150_microseconds(index: int, benchmark: Any) -> None:
    items = yaml.safe_load(DUMP.read_text(encoding="utf-8"))["items"]
    benchmark(parse_object, items[index])
    assert benchmark.stats is None or benchmark.stats.stats.median < 150e-6
