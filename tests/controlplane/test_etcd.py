"""The store: a log that nobody overwrites, and compare-and-swap on top of it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schedlab.api.objects import LabelSelector, Namespace, ObjectMeta, ReplicaSet, ReplicaSetSpec
from schedlab.cluster.classes import ClassTable
from schedlab.cluster.pods import PodTable
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.etcd import Conflict, Etcd, Op
from schedlab.record.schema import EVENTS
from schedlab.testing.runs import (
    created,
    pod_template,
    pods_at,
    small_run,
    texts,
)


def store():
    return Etcd(PodTable(ClassTable(ResourceNames())))


def space(name, **labels):
    return Namespace(metadata=ObjectMeta(name=name, labels=labels))


def test_an_update_needs_the_last_revision():
    etcd = store()
    first = etcd.create(1, space("a"), "item", None)
    second = etcd.update(2, space("a", team="x"), first.revision)
    with pytest.raises(Conflict, match="Namespace a is at revision 2, not at 1"):
        etcd.update(3, space("a", team="y"), first.revision)
    assert etcd.objects["Namespace", "a"] is second
    assert (etcd.revision, second.uid) == (2, first.uid)


def test_names_are_unique_and_a_new_object_has_a_new_identity():
    etcd = store()
    first = etcd.create(1, space("a"), "", None)
    with pytest.raises(Conflict, match="already exists"):
        etcd.create(2, space("a"), "", None)
    gone = etcd.delete(3, "Namespace", "a")
    assert gone.deleted
    with pytest.raises(Conflict, match="not found"):
        etcd.delete(4, "Namespace", "a")
    assert etcd.create(5, space("a"), "", None).uid != first.uid


def test_versions_that_were_read_stay_as_they_were():
    etcd = store()
    first = etcd.create(1, space("a", team="x"), "", None)
    etcd.update(2, space("a", team="y"), first.revision)
    assert first.object.metadata.labels == {"team": "x"}
    with pytest.raises(Exception, match="frozen"):
        first.object.metadata = ObjectMeta(name="b")


class Store(RuleBasedStateMachine):
    """The store against a dictionary."""

    names = st.sampled_from("abc")

    def __init__(self):
        super().__init__()
        self.etcd, self.model, self.writes = store(), {}, 0

    @rule(name=names)
    def create(self, name):
        if name in self.model:
            with pytest.raises(Conflict):
                self.etcd.create(self.writes, space(name), "", None)
        else:
            self.model[name] = self.etcd.create(self.writes, space(name), "", None).revision
            self.writes += 1

    @rule(name=names, lag=st.integers(0, 2))
    def update(self, name, lag):
        seen = self.model.get(name, 0) - lag
        if name in self.model and lag == 0:
            self.model[name] = self.etcd.update(self.writes, space(name), seen).revision
            self.writes += 1
        else:
            with pytest.raises(Conflict):
                self.etcd.update(self.writes, space(name), seen)

    @rule(name=names)
    def delete(self, name):
        if name in self.model:
            self.etcd.delete(self.writes, "Namespace", name)
            del self.model[name]
            self.writes += 1
        else:
            with pytest.raises(Conflict):
                self.etcd.delete(self.writes, "Namespace", name)

    @invariant()
    def agree(self):
        assert {k[1]: v.revision for k, v in self.etcd.objects.items()} == self.model
        assert self.etcd.revision == self.writes


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=50, stateful_step_count=30)


def test_the_log_tells_the_whole_story_in_order():
    record = small_run(pods_at((0.0, 5.0))).run()
    events = record.tables["events"]
    assert texts(record, "operation", "events")[1:] == ["create", "bind", "status", "finish"]
    assert texts(record, "detail", "events")[1:] == ["", "n0", "Running", "Succeeded"]
    assert texts(record, "object", "events") == ["n0", *["default/p0"] * 4]
    assert events["revision"].tolist() == [1, 2, 3, 4, 5]
    assert sorted(events["time_us"].tolist()) == events["time_us"].tolist()


def test_a_stale_writer_gets_a_conflict_and_the_controller_recovers():
    """Somebody else writes the ReplicaSet between the controller's read and its write."""
    owned = ReplicaSet(
        metadata=ObjectMeta(name="web"),
        spec=ReplicaSetSpec(
            replicas=2,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(100, restart_policy="Always"),
        ),
    )
    config = {"profile": "ideal", "watch": {"controllers": "5s"}, "apiserver": {"request": "1s"}}
    run = small_run(pods_at(objects=(created(owned),)), config=config)
    run.calendar.run(until_us=6_500_000)  # the controller has read the ReplicaSet and reports
    stored = run.api.etcd.objects["ReplicaSet", "default/web"]
    touched = owned.model_copy(update={"metadata": ObjectMeta(name="web", labels={"by": "me"})})
    run.api.etcd.update(run.now_us, touched, stored.revision)
    refused = []
    run.api.update(owned, stored.revision, run.now_us, refused.append)
    run.calendar.run()
    assert refused == [None]
    assert run.record().counts["running"] == 2


@pytest.mark.parametrize("op", list(Op))
def test_operations_have_the_names_of_the_table(op):
    (column,) = (column for column in EVENTS if column.name == "operation")
    assert op.name.lower() in column.description.split(", ")
