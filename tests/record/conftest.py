"""A record of 3 nodes and 12 pods whose metrics can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from schedlab.record.recorder import RunRecord
from schedlab.record.schema import NODES, OUTCOMES, PODS

GIB = 2**30


def us(seconds: float | None) -> int:
    return -1 if seconds is None else round(seconds * 1e6)


def columns(rows: list[dict], schema: tuple) -> dict:
    """Rows of values by column name -> columns; what a row lacks is null or 0."""
    names = [column.name for column in schema]
    extra = sorted({name for row in rows for name in row} - set(names))
    empty = {"string": None, "time": -1}
    table: dict = {}
    for column in schema:
        values = [row.get(column.name, empty.get(column.dtype, 0)) for row in rows]
        table[column.name] = values if column.dtype == "string" else np.array(values, np.int64)
    for name in extra:
        table[name] = np.array([row.get(name, 0) for row in rows], np.int64)
    return table


def node(name: str, cpu: int, memory: int, removed: float | None = None, added: float = 0) -> dict:
    return {
        "node": name,
        "zone": "z1",
        "pool": "general",
        "added_us": us(added),
        "removed_us": us(removed),
        "allocatable_cpu_milli": cpu,
        "allocatable_memory_bytes": memory,
    }


def pod(
    name: str,
    *,
    created: float,
    bound: float | None = None,
    on: str | None = None,
    finished: float | None = None,
    released: float | None = None,
    duration: float | None = None,
    outcome: str = "running",
    cpu: int = 1000,
    memory: int = GIB,
    incarnation: int = 0,
    **more: object,
) -> dict:
    """One pod: stored 0.1 s and seen 0.2 s after its creation, decided 0.1 s before it is bound,

    then 0.1 s to the kubelet, 1 s to pull, 0.1 s to start and 0.1 s to be ready.
    """
    item, replica = name.rsplit("-", 1)
    row: dict = {
        "pod": f"default/{name}" + (f"-{incarnation}" if incarnation else ""),
        "item": item,
        "replica": int(replica),
        "incarnation": incarnation,
        "owner": "",
        "scheduler_name": "default-scheduler",
        "outcome": outcome,
        "reason": "",
        "duration_us": us(duration),
        "created_us": us(created),
        "stored_us": us(created + 0.1),
        "seen_by_scheduler_us": us(created + 0.2),
        "finished_us": us(finished),
        "released_us": us(released),
        "request_cpu_milli": cpu,
        "request_memory_bytes": memory,
        "attempts": 0 if bound is None else 1,
    }
    if bound is not None:
        row |= {"node": on, "decided_us": us(bound - 0.1), "bound_us": us(bound)}
        if outcome != "rejected":
            stages = ("seen_by_kubelet_us", "pulled_us", "started_us", "ready_us")
            offsets = (0.1, 1.1, 1.2, 1.3)
            row |= {stage: us(bound + add) for stage, add in zip(stages, offsets, strict=True)}
    return row | more


def make(nodes: list[dict], pods: list[dict], end: float, notes: list[str] | None = None):
    outcomes = [row["outcome"] for row in pods]
    attempts = [row for row in pods for _ in range(row["attempts"])]
    decisions = {
        "time_us": np.array([row.get("decided_us", us(end) - 1) for row in attempts], np.int64),
        "pod": [row["pod"] for row in attempts],
        "attempt": np.ones(len(attempts), np.int32),
        "scheduler_name": ["greedy"] * len(attempts),
        "verdict": ["placed" if "bound_us" in row else "unschedulable" for row in attempts],
        "node": [row.get("node") for row in attempts],
        "feasible_nodes": np.zeros(len(attempts), np.int32),
        "reason": [""] * len(attempts),
        "decision_us": np.arange(1, len(attempts) + 1, dtype=np.int64) * 1000,
        "work": np.zeros(len(attempts), np.int64),
    }
    return RunRecord(
        tables={
            "pods": columns(pods, PODS),
            "nodes": columns(nodes, NODES),
            "decisions": decisions,
        },
        counts={"arrived": len(pods)} | {name: outcomes.count(name) for name in OUTCOMES},
        digest="d1" * 32,
        end_us=us(end),
        notes=notes or [],
    )


@pytest.fixture(scope="session")
def build() -> Callable[..., RunRecord]:
    """Make a record from rows of `node` and `pod`."""
    build_record: Callable[..., RunRecord] = make
    build_record.node = node  # type: ignore[attr-defined]
    build_record.pod = pod  # type: ignore[attr-defined]
    return build_record


@pytest.fixture(scope="session")
def record() -> RunRecord:
    """Three nodes, twelve pods, 100 seconds; node c leaves at 80 s."""
    job = {"owner": "Job/batch", "duration": 20.0, "cpu": 2000, "memory": 2 * GIB}
    half = {"cpu": 500, "memory": GIB // 2}
    pods = [
        pod("web-0", created=0, bound=1, on="a"),
        pod("web-1", created=0, bound=2, on="b"),
        pod(
            "web-2",
            created=0,
            bound=3,
            on="c",
            finished=49.9,
            released=50,
            outcome="evicted",
            reason="PreemptionByScheduler",
        ),
        pod("web-2", created=50, bound=55, on="a", incarnation=1),
        pod(
            "batch-0",
            created=10,
            bound=11,
            on="a",
            finished=32.2,
            released=32.3,
            outcome="succeeded",
            **job,
        ),
        pod(
            "batch-1",
            created=10,
            bound=20,
            on="b",
            finished=41.2,
            released=41.3,
            outcome="succeeded",
            **job,
        ),
        pod(
            "batch-2",
            created=10,
            bound=60,
            on="b",
            finished=81.2,
            released=81.3,
            outcome="succeeded",
            **job,
        ),
        pod("batch-3", created=10, outcome="pending", attempts=3, **job),
        pod(
            "bare-0",
            created=30,
            bound=30.5,
            on="c",
            finished=36.7,
            released=36.8,
            duration=5,
            outcome="failed",
            **half,
        ),
        pod("bare-1", created=30, bound=31, on="c", released=32, outcome="rejected", **half),
        pod("bare-2", created=40, outcome="deleted", deleted_us=us(70), released=70, **half),
        pod("bare-3", created=90, bound=91, on="a", duration=60),
    ]
    nodes = [
        node("a", 4000, 8 * GIB),
        node("b", 4000, 8 * GIB),
        node("c", 2000, 4 * GIB, removed=80),
    ]
    return make(nodes, pods, 100, ["made by hand"])
