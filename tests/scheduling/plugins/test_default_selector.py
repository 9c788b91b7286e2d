"""Which pods belong together, by their Services and the controller that owns them."""

import pytest

from schedlab.api.objects import ReplicaSet, ReplicationController, Service, StatefulSet
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.errors import InputError
from schedlab.scheduling.plugins.default_selector import default_selector
from schedlab.testing import pod_template

WEB = {"app": "web", "tier": "front"}


def service(name, selector, namespace="default"):
    return Service.model_validate(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": selector}}
    )


def replicated(kind, selector, name="web", namespace="default"):
    labels = dict(selector.get("matchLabels", {}))
    for condition in selector.get("matchExpressions", ()):
        labels.setdefault(condition["key"], "".join(condition.get("values", ())[:1]))
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    return kind.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": selector, "template": template},
        }
    )


def old_controller(selector, template=None, name="web"):
    spec = {"selector": selector}
    if template is not None:
        spec["template"] = {
            "metadata": {"labels": template},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
    return ReplicationController.model_validate({"metadata": {"name": name}, "spec": spec})


def found(objects, labels=WEB, owner=("", ""), namespace="default"):
    """Return the selector as match labels and the text of its conditions, or None."""
    state = ClusterState(ClassTable(ResourceNames()))
    for thing in objects:
        state.objects.put(thing)
    pod = state.classes.intern(namespace, pod_template().spec, 0, labels=labels, owner=owner)
    selector = default_selector(state, pod)
    if selector is None:
        return None
    conditions = [
        f"{c.key} {c.operator} {' '.join(c.values)}".strip() for c in selector.match_expressions
    ]
    return dict(selector.match_labels), conditions


MATCHES_APP = {"matchLabels": {"app": "web"}}
EXISTS = {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
SET, STATEFUL, OLD = ("ReplicaSet", "web"), ("StatefulSet", "web"), ("ReplicationController", "web")


@pytest.mark.parametrize(
    ("objects", "owner", "expected"),
    [
        pytest.param([], ("", ""), None, id="nothing"),
        pytest.param([service("s", {"app": "web"})], ("", ""), ({"app": "web"}, []),
                     id="a Service"),
        pytest.param([service("s", {"app": "web"}), service("t", {"tier": "front"})], ("", ""),
                     (WEB, []), id="the Services together"),
        pytest.param([service("s", {"app": "db"})], ("", ""), None,
                     id="one that doesn't select the pod"),
        pytest.param([service("s", {"app": "web", "tier": "back"})], ("", ""), None,
                     id="all of its labels must match"),
        pytest.param([service("s", {"app": "web"}, "prod")], ("", ""), None,
                     id="one of another namespace"),
        pytest.param([service("s", {})], ("", ""), None, id="one without a selector"),
        pytest.param([replicated(ReplicaSet, MATCHES_APP)], SET, ({"app": "web"}, []),
                     id="a ReplicaSet"),
        pytest.param([replicated(ReplicaSet, MATCHES_APP)], ("", ""), None,
                     id="that doesn't own the pod"),
        pytest.param([replicated(ReplicaSet, MATCHES_APP, namespace="prod")], SET, None,
                     id="a ReplicaSet of another namespace"),
        pytest.param([replicated(ReplicaSet, MATCHES_APP)], STATEFUL, None,
                     id="an owner of another kind"),
        pytest.param([], SET, None, id="an owner that is gone"),
        pytest.param([replicated(StatefulSet, EXISTS)], STATEFUL, ({}, ["tier Exists"]),
                     id="a StatefulSet by condition"),
        pytest.param([service("s", {"app": "web"}), replicated(StatefulSet, EXISTS)], STATEFUL,
                     ({"app": "web"}, ["tier Exists"]), id="Service and StatefulSet"),
        # such a pod has been relabelled since: no pod is web and db at once
        pytest.param(
            [service("s", {"app": "web"}), replicated(ReplicaSet, {"matchLabels": {"app": "db"}})],
            SET, ({"app": "web"}, ["app In db"]), id="a ReplicaSet that contradicts the Service"),
        pytest.param([old_controller({"app": "web"})], OLD, ({"app": "web"}, []),
                     id="a ReplicationController"),
        pytest.param([service("s", {"app": "web"}), old_controller({"app": "db"})], OLD,
                     ({"app": "db"}, []), id="whose labels replace those of the Service"),
        pytest.param([old_controller({}, template={"tier": "front"})], OLD,
                     ({"tier": "front"}, []), id="by default it selects what it makes"),
        pytest.param([], ("Job", "web"), None, id="no other kinds"),
    ],
)  # fmt: skip
def test_what_selects_a_pod_together_with_others(objects, owner, expected):
    assert found(objects, owner=owner) == expected


def test_it_follows_the_objects():
    state = ClusterState(ClassTable(ResourceNames()))
    pod = state.classes.intern("default", pod_template().spec, 0, labels=WEB, owner=SET)
    assert default_selector(state, pod) is None
    state.objects.put(replicated(ReplicaSet, MATCHES_APP))
    known = default_selector(state, pod)
    assert known.match_labels == {"app": "web"}
    assert default_selector(state, pod) is known
    by_tier = service("s", {"tier": "front"})
    state.objects.put(by_tier)
    assert default_selector(state, pod).match_labels == {"app": "web", "tier": "front"}
    state.objects.remove(by_tier)
    assert default_selector(state, pod).match_labels == {"app": "web"}


def test_a_service_of_single_pods_has_to_come_before_them():
    state = ClusterState(ClassTable(ResourceNames()))
    of_one = {"statefulset.kubernetes.io/pod-name": "web-0"}
    pod = state.classes.intern("default", pod_template().spec, 0, labels=of_one)
    state.objects.put(service("s", of_one))
    with pytest.raises(InputError, match="pod-name"):
        default_selector(state, pod)
