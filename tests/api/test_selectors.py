"""The scalar rules of matching, from the tables of apimachinery, nodeaffinity and core/v1."""

from typing import Any

import pytest

from schedlab.api.objects import (
    LabelSelector,
    Node,
    NodeSelector,
    PodSpec,
    Taint,
    Toleration,
)
from schedlab.api.selectors import (
    first_untolerated,
    label_selector_matches,
    labels_match,
    node_selector_matches,
    preferred_node_affinity_score,
    required_node_affinity_matches,
    tolerates_all,
    toleration_tolerates,
)


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


LABELS = {"app": "web", "tier": "front", "cores": "16", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        pytest.param(None, False, id="absent selects nothing"),
        pytest.param({}, True, id="empty selects all"),
        pytest.param({"matchLabels": {"app": "web"}}, True, id="pair"),
        pytest.param({"matchLabels": {"app": "web", "tier": "back"}}, False, id="one pair differs"),
        pytest.param({"matchLabels": {"empty": ""}}, True, id="empty value is a value"),
        pytest.param({"matchLabels": {"none": ""}}, False, id="empty value is not absence"),
        pytest.param({"matchExpressions": [expression("app", "In", "a", "web")]}, True, id="In"),
        pytest.param({"matchExpressions": [expression("none", "In", "a")]}, False, id="In, absent"),
        pytest.param({"matchExpressions": [expression("app", "NotIn", "a")]}, True, id="NotIn"),
        pytest.param(
            {"matchExpressions": [expression("app", "NotIn", "web")]}, False, id="NotIn, present"
        ),
        pytest.param(
            {"matchExpressions": [expression("none", "NotIn", "a")]}, True, id="NotIn, absent"
        ),
        pytest.param({"matchExpressions": [expression("empty", "Exists")]}, True, id="Exists"),
        pytest.param({"matchExpressions": [expression("none", "Exists")]}, False, id="Exists not"),
        pytest.param(
            {"matchExpressions": [expression("none", "DoesNotExist")]}, True, id="DoesNotExist"
        ),
        pytest.param(
            {"matchExpressions": [expression("app", "DoesNotExist")]}, False, id="exists, though"
        ),
        pytest.param(
            {"matchLabels": {"app": "web"}, "matchExpressions": [expression("tier", "In", "back")]},
            False,
            id="all must hold",
        ),
    ],
)
def test_label_selector(selector: dict[str, Any] | None, matches: bool) -> None:
    parsed = None if selector is None else LabelSelector.model_validate(selector, by_name=False)
    assert label_selector_matches(parsed, LABELS) is matches


def test_labels_match_needs_every_pair() -> None:
    assert labels_match({}, LABELS)
    assert labels_match({"app": "web"}, LABELS)
    assert not labels_match({"app": "web", "x": "y"}, LABELS)


@pytest.mark.parametrize(
    ("terms", "matches"),
    [
        pytest.param([{}], False, id="an empty term selects nothing"),
        pytest.param([{"matchExpressions": []}], False, id="nor one with an empty list"),
        pytest.param([{}, {"matchExpressions": [expression("app", "Exists")]}], True, id="or"),
        pytest.param(
            [{"matchExpressions": [expression("app", "Exists"), expression("none", "Exists")]}],
            False,
            id="and",
        ),
        pytest.param([{"matchExpressions": [expression("cores", "Gt", "15")]}], True, id="Gt"),
        pytest.param([{"matchExpressions": [expression("cores", "Gt", "16")]}], False, id="not Gt"),
        pytest.param([{"matchExpressions": [expression("cores", "Lt", "17")]}], True, id="Lt"),
        pytest.param([{"matchExpressions": [expression("cores", "Lt", "16")]}], False, id="not Lt"),
        pytest.param(
            [{"matchExpressions": [expression("app", "Gt", "1")]}], False, id="label is no number"
        ),
        pytest.param(
            [{"matchExpressions": [expression("cores", "Gt", "1.5")]}], False, id="bound is none"
        ),
        pytest.param(
            [{"matchExpressions": [expression("none", "Lt", "1")]}], False, id="Lt, absent"
        ),
        pytest.param(
            [{"matchExpressions": [expression("cores", "Lt", "9223372036854775808")]}],
            False,
            id="bound beyond int64",
        ),
        pytest.param(
            [{"matchExpressions": [expression("cores", "Gt", "-5")]}], True, id="negative bound"
        ),
        pytest.param(
            [{"matchFields": [expression("metadata.name", "In", "n1")]}], True, id="by name"
        ),
        pytest.param(
            [{"matchFields": [expression("metadata.name", "NotIn", "n1")]}], False, id="not n1"
        ),
        pytest.param(
            [
                {
                    "matchFields": [expression("metadata.name", "In", "n1")],
                    "matchExpressions": [expression("app", "In", "db")],
                }
            ],
            False,
            id="fields and labels",
        ),
    ],
)
def test_node_selector(terms: list[dict[str, Any]], matches: bool) -> None:
    selector = NodeSelector.model_validate({"nodeSelectorTerms": terms}, by_name=False)
    assert node_selector_matches(selector, LABELS, "n1") is matches


def affine(
    required: list[Any] | None = None, preferred: tuple[Any, ...] = (), **more: Any
) -> PodSpec:
    node_affinity: dict[str, Any] = {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": weight, "preference": term} for weight, term in preferred
        ]
    }
    if required is not None:
        node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": required
        }
    return PodSpec.model_validate(
        {"containers": [{"name": "c"}], "affinity": {"nodeAffinity": node_affinity}, **more},
        by_name=False,
    )


NODE = Node.model_validate({"metadata": {"name": "n1", "labels": LABELS}})
WEB = {"matchExpressions": [expression("app", "In", "web")]}
DB = {"matchExpressions": [expression("app", "In", "db")]}


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        pytest.param(PodSpec.model_validate({"containers": [{"name": "c"}]}), True, id="free"),
        pytest.param(affine(), True, id="preferences only"),
        pytest.param(affine([WEB]), True, id="affinity"),
        pytest.param(affine([DB]), False, id="other affinity"),
        pytest.param(affine([DB, WEB]), True, id="any term"),
        pytest.param(affine([WEB], nodeSelector={"tier": "front"}), True, id="both"),
        pytest.param(affine([WEB], nodeSelector={"tier": "back"}), False, id="selector fails"),
        pytest.param(affine([DB], nodeSelector={"tier": "front"}), False, id="affinity fails"),
    ],
)
def test_required_node_affinity(spec: PodSpec, matches: bool) -> None:
    assert required_node_affinity_matches(spec, NODE) is matches


@pytest.mark.parametrize(
    ("spec", "score"),
    [
        pytest.param(PodSpec.model_validate({"containers": [{"name": "c"}]}), 0, id="none"),
        pytest.param(affine(preferred=((5, WEB), (7, DB), (30, WEB))), 35, id="5 + 30"),
        pytest.param(affine(preferred=((5, {}),)), 0, id="an empty preference adds nothing"),
    ],
)
def test_preferred_node_affinity(spec: PodSpec, score: int) -> None:
    assert preferred_node_affinity_score(spec, NODE) == score


def toleration(**fields: Any) -> Toleration:
    return Toleration.model_validate(fields, by_name=False)


TAINT = Taint(key="gpu", value="a100", effect="NoSchedule")


@pytest.mark.parametrize(
    ("tolerated_by", "tolerates"),
    [
        pytest.param(toleration(key="gpu", value="a100"), True, id="Equal is the default"),
        pytest.param(toleration(key="gpu", operator="Equal", value="h100"), False, id="value"),
        pytest.param(toleration(key="gpu"), False, id="empty value is a value"),
        pytest.param(toleration(key="gpu", operator="Exists"), True, id="any value"),
        pytest.param(toleration(operator="Exists"), True, id="any key"),
        pytest.param(toleration(key="cpu", operator="Exists"), False, id="other key"),
        pytest.param(
            toleration(key="gpu", operator="Exists", effect="NoSchedule"), True, id="that effect"
        ),
        pytest.param(
            toleration(key="gpu", operator="Exists", effect="NoExecute"), False, id="other effect"
        ),
        pytest.param(toleration(operator="Exists", effect="NoExecute"), False, id="any key, other"),
    ],
)
def test_toleration(tolerated_by: Toleration, tolerates: bool) -> None:
    assert toleration_tolerates(tolerated_by, TAINT) is tolerates


def test_first_untolerated_taint_counts_only_the_effects_asked_for() -> None:
    soft = Taint(key="old", effect="PreferNoSchedule")
    out = Taint(key="sick", effect="NoExecute")
    taints = (soft, TAINT, out)
    gpu = (toleration(key="gpu", operator="Exists"),)
    assert first_untolerated((), taints, ("NoSchedule", "NoExecute")) == TAINT
    assert first_untolerated(gpu, taints, ("NoSchedule", "NoExecute")) == out
    assert first_untolerated(gpu, taints, ("PreferNoSchedule",)) == soft
    assert tolerates_all(gpu, taints, ("NoSchedule",))
    assert not tolerates_all(gpu, taints, ("NoExecute",))
    assert tolerates_all(iter(()), (), ("NoSchedule",))
