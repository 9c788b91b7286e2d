"""Parameters of the control plane, under the real components' names where those exist.

Three profiles give the defaults. ``ideal``: nothing takes time, for pure placement studies.
``kubemark``: hollow nodes, calibrated so that the stages add up to the quantiles measured in
kubernetes/kubernetes#42000. ``default``: real nodes, which add a sandbox and image pulls. Each
latency says where its number comes from, or that it is an assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from schedlab.errors import InputError
from schedlab.sim.distributions import Empirical, parse_distribution
from schedlab.units import quantity_value


def _latency(value: Any, info: ValidationInfo) -> Any:
    """Check a latency; one read from a file becomes its values, so that a config is complete."""
    base = (info.context or {}).get("base", Path())
    distribution = parse_distribution(value, base=base)
    if isinstance(distribution, Empirical):
        return {"empirical": [f"{us}us" for us in distribution.values]}
    return value


def _size(value: Any) -> Any:
    if quantity_value(value) <= 0:
        raise InputError("", found=value, expected="a size above zero")
    return value


Latency = Annotated[
    Any,
    BeforeValidator(_latency),
    WithJsonSchema(
        {
            "description": "a duration (10ms) or a distribution ({exponential: {mean: 10ms}})",
            "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "object"}],
        }
    ),
]
Size = Annotated[
    Any,
    BeforeValidator(_size),
    WithJsonSchema({"description": "a quantity of bytes (250Mi)", "type": ["string", "integer"]}),
]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class EtcdConfig(_Section):
    """etcd: one commit is one write to a quorum."""

    commit: Latency = 0
    """Time from the API server's write to its acknowledgement. etcd asks for a 99th percentile of
    the WAL's fsync below 10 ms; the profiles' 2 ms is an assumption for SSDs in one zone."""


class ApiServerConfig(_Section):
    """kube-apiserver."""

    request: Latency = 0
    """Network, authentication, admission and encoding of one mutating request, without etcd."""


class WatchConfig(_Section):
    """How late each component's informer delivers what was committed."""

    scheduler: Latency = 0
    kubelet: Latency = 0
    controllers: Latency = 0


class DecisionTime(_Section):
    """Simulated time of one decision, from the units of work that the scheduler declares."""

    base: Latency = 0
    """Time of a decision that does no work."""
    per_thousand_work: Latency = 0
    """Time of a thousand units of work; for kube-scheduler one unit is one node filtered and
    scored. 3.3 ms was measured of kube-scheduler 1.35.4 on one core (1,292 / 741 / 521 pods/s with
    230 / 420 / 500 nodes sampled of 500 / 1,000 / 5,000)."""


class SchedulerConfig(_Section):
    """kube-scheduler's component: queue and binding; what it decides is the policy's."""

    qps: float = Field(default=0.0, ge=0)
    """Client-side limit of requests per second (clientConnection.qps); 0 = none."""
    burst: int = Field(default=1, ge=1)
    """Requests that may go out at once (clientConnection.burst)."""
    pod_initial_backoff_seconds: float = Field(default=1.0, ge=0)
    """First backoff of a pod that could not be scheduled; it doubles with each attempt."""
    pod_max_backoff_seconds: float = Field(default=10.0, ge=0)
    """Longest backoff."""
    pop_from_backoff_q: bool = True
    """Take pods from the backoff queue when the active one is empty (SchedulerPopFromBackoffQ)."""
    pod_max_in_unschedulable_pods_seconds: float = Field(default=300.0, gt=0)
    """A pod that has been unschedulable for this long is tried again without a reason."""
    drop_unschedulable: bool = False
    """Give a pod up after its first attempt, if it fits nowhere; not upstream's, but what packing
    studies do that have no queue, FGD's among them."""
    decision_time: DecisionTime = DecisionTime()


class ControllersConfig(_Section):
    """kube-controller-manager: each controller has a client of its own."""

    kube_api_qps: float = Field(default=0.0, ge=0)
    """Client-side limit of requests per second of each controller; 0 = none."""
    kube_api_burst: int = Field(default=1, ge=1)
    """Requests that may go out at once."""
    sync: Latency = 0
    """From an informer's event to the end of the controller's reconciliation."""
    volume_provisioning: Latency = 0
    """Time in which a storage class makes a volume; several are made at once."""


class KubeletConfig(_Section):
    """kubelet, one per node."""

    kube_api_qps: float = Field(default=0.0, ge=0)
    """Client-side limit of requests per second of each kubelet; 0 = none."""
    kube_api_burst: int = Field(default=1, ge=1)
    """Requests that may go out at once."""
    sandbox: Latency = 0
    """Creation of the pod sandbox, network included."""
    container_start: Latency = 0
    """Creation and start of all containers of a pod, images being there."""
    status_update: Latency = 0
    """From a change of a container's state until the kubelet sends the pod's new status."""
    termination: Latency = 0
    """How long containers take to end once asked to; the grace period is the upper limit."""
    serialize_image_pulls: bool = True
    """Pull one image at a time on each node."""
    image_bandwidth: Size | None = None
    """Bytes per second of image pulls on each node; None = pulls take no time."""
    default_image_size: Size = "200Mi"
    """Size of an image that neither `image_sizes` nor the node's status names."""
    image_sizes: Mapping[str, Size] = Field(default_factory=dict)
    """Sizes by image name."""


_KUBEMARK: dict[str, Any] = {
    "etcd": {"commit": "2ms"},  # assumption, see EtcdConfig.commit
    "apiserver": {"request": "1ms"},  # assumption: a small object on a local network
    "watch": {
        # create -> schedule was 9.3 / 13.1 / 24.6 ms at p50 / p90 / p99 (kubernetes#42000);
        # 3 ms of it are the write above and about 1 ms is the decision
        "scheduler": {"quantiles": {0.5: "5.3ms", 0.9: "9.1ms", 0.99: "20.6ms"}},
        "kubelet": "5ms",  # assumption
        "controllers": "5ms",  # assumption
    },
    "scheduler": {
        "qps": 50,
        "burst": 100,  # upstream's clientConnection defaults
        "decisionTime": {"base": "100us", "perThousandWork": "3.3ms"},
    },
    # upstream's defaults of --kube-api-qps and --kube-api-burst; sync time is an assumption
    "controllers": {"kubeApiQps": 20, "kubeApiBurst": 30, "sync": "1ms"},
    "kubelet": {
        "kubeApiQps": 50,
        "kubeApiBurst": 100,  # upstream's defaults
        # schedule -> run was 200 / 602 / 731 ms (kubernetes#42000); 8 ms are the binding's write
        # and watch
        "containerStart": {"quantiles": {0.5: "192ms", 0.9: "594ms", 0.99: "723ms"}},
        # run -> watch was 1.025 / 1.695 / 2.046 s (kubernetes#42000); 3 ms are the write
        "statusUpdate": {"quantiles": {0.5: "1.022s", 0.9: "1.692s", 0.99: "2.043s"}},
        "termination": "1s",  # assumption: containers that handle SIGTERM
    },
}
_DEFAULT: dict[str, Any] = {
    **_KUBEMARK,
    # assumption: clouds make a disk within seconds
    "controllers": {**_KUBEMARK["controllers"], "volumeProvisioning": "3s"},
    "kubelet": {
        **_KUBEMARK["kubelet"],
        # the tail of 4.8 s is from kubernetes#66672; median and p90 are assumptions
        "sandbox": {"quantiles": {0.5: "400ms", 0.9: "1s", 0.99: "4.8s"}},
        "imageBandwidth": "100Mi",  # assumption
    },
}
PROFILES: dict[str, dict[str, Any]] = {"ideal": {}, "kubemark": _KUBEMARK, "default": _DEFAULT}


class ControlPlaneConfig(_Section):
    """All parameters of the control plane; what is not given comes from the profile."""

    profile: Literal["ideal", "kubemark", "default"] = "default"
    etcd: EtcdConfig = EtcdConfig()
    apiserver: ApiServerConfig = ApiServerConfig()
    watch: WatchConfig = WatchConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    controllers: ControllersConfig = ControllersConfig()
    kubelet: KubeletConfig = KubeletConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_profile(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        profile = PROFILES.get(str(data.get("profile", "default")))
        return data if profile is None else merged(profile, data)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return *below* with the entries of *above* laid over it, section by section.

    A latency is replaced as a whole: merged, it would have two kinds of distribution.
    """
    out = _laid_over(below, above)
    for section, below_section in below.items():
        own = above.get(section)
        if isinstance(own, Mapping):
            out[section] = _laid_over(below_section, own)
            old, new = below_section.get("decisionTime"), out[section].get("decisionTime")
            if isinstance(old, Mapping) and isinstance(new, Mapping):
                out[section]["decisionTime"] = _laid_over(old, new)
    return out


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {**below, **{to_camel(str(k)) if "_" in str(k) else str(k): v for k, v in above.items()}}
