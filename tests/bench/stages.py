"""One whole run in a process of its own, so that its peak memory is its own too.

    python tests/bench/stages.py NODES PODS sparse|burst SCHEDULER PROFILE

prints one JSON object: pods per wall second through all stages, events per second, peak memory.
"""

import json
import math
import resource
import sys

import numpy as np

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Container,
    Node,
    NodeStatus,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    ResourceRequirements,
)
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.simulation import Simulation
from schedlab.record.wallclock import Stopwatch
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.registry import load_scheduler
from schedlab.units import SECOND
from schedlab.workload.stream import Cluster, Workload, pod_arrivals

CLASSES = 20
MEAN_DURATION_S = 600.0


def cluster(nodes):
    """Nodes of 32 cores and 128 GiB in three zones."""
    return Cluster(
        "bench",
        tuple(
            Node(
                metadata=ObjectMeta(
                    name=f"node-{i:05d}",
                    labels={
                        "kubernetes.io/hostname": f"node-{i:05d}",
                        "topology.kubernetes.io/zone": f"zone-{i % 3}",
                    },
                ),
                status=NodeStatus(allocatable=Amounts(cpu=32_000, memory=128 << 30, pods=110)),
            )
            for i in range(nodes)
        ),
        (),
    )


def template(number):
    requests = Amounts(cpu=250 * (1 + number % 8), memory=(256 << 20) * (1 + number % 5))
    return PodTemplate(
        metadata=ObjectMeta(labels={"app": f"app-{number}"}),
        spec=PodSpec(
            restart_policy="Never",
            containers=(
                Container(
                    name="main",
                    image=f"app-{number}:1",
                    resources=ResourceRequirements(requests=requests),
                ),
            ),
        ),
    )


def workload(pods, shape):
    """Sparse: 7 pods/s, Poisson. Burst: ten bursts, five minutes apart."""
    draws = Draws(1, "bench")
    number = np.arange(pods)
    if shape == "sparse":
        gaps = -np.log1p(-draws.stream("gaps").uniforms(number)) / 7.0
        arrival = (np.cumsum(gaps) * SECOND).astype(np.int64)
    else:
        arrival = (number // math.ceil(pods / 10)) * 300 * SECOND
    lengths = -np.log1p(-draws.stream("lengths").uniforms(number)) * MEAN_DURATION_S * SECOND
    return Workload(
        "bench",
        tuple(template(i) for i in range(CLASSES)),
        pod_arrivals(
            arrival,
            (draws.stream("class").uniforms(number) * CLASSES).astype(np.int32),
            tuple(f"pod-{i}" for i in range(pods)),
            item=("bench",) * pods,
            duration_us=lengths.astype(np.int64),
            key=np.array([entity_key("bench", i) for i in range(pods)], np.uint64),
            replica=number.astype(np.int32),
        ),
        (),
        {},
        (),
    )


def measure(nodes, pods, shape, scheduler, profile):
    """Run once and return the figures."""
    warm = Simulation(
        cluster(10), workload(50, shape), {"default-scheduler": load_scheduler(scheduler)}
    )
    warm.run()  # compiled kernels are loaded, as a second run of a sweep finds them
    settings = {"profile": profile, "scheduler": {"qps": 0}, "kubelet": {"kubeApiQps": 0}}
    watch = Stopwatch()
    with watch.phase("build"):
        run = Simulation(
            cluster(nodes),
            workload(pods, shape),
            {"default-scheduler": load_scheduler(scheduler)},
            config=ControlPlaneConfig.model_validate(settings),
            sample_period_us=60 * SECOND,
        )
    with watch.phase("run"):
        record = run.run()
    spent = {lap.phase: lap.wall_s for lap in watch.laps}
    cpu = {lap.phase: lap.cpu_s for lap in watch.laps}
    return {
        "nodes": nodes,
        "pods": pods,
        "shape": shape,
        "scheduler": scheduler,
        "profile": profile,
        "build_s": spent["build"],
        "run_s": spent["run"],
        "run_cpu_s": cpu["run"],
        "pods_per_s": pods / spent["run"],
        "events": run.calendar.processed,
        "events_per_s": run.calendar.processed / spent["run"],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "succeeded": record.counts["succeeded"],
    }


if __name__ == "__main__":
    _, nodes, pods, shape, scheduler, profile = sys.argv
    sys.stdout.write(json.dumps(measure(int(nodes), int(pods), shape, scheduler, profile)) + "\n")
