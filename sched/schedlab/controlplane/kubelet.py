r"""The kubelets of all nodes: from a bound pod to a Ready one, and to its end.

One object holds the kubelets of the cluster, since they share their code and differ in their node's
columns. A pod's way on its node, times added up without an event where nothing shared is read in
between::

    seen -> admitted -> sandbox -> images pulled -> containers started -> status -> (runs) -> ended
                 \-> rejected: OutOfcpu, OutOfpods, NodeAffinity, NodePorts ... (phase Failed)

Images are pulled over the node's bandwidth, one after the other when `serialize_image_pulls` is
set; a pull that is under way is joined; what is there is not pulled again. Not modelled: probes,
restarts, run time of init containers, garbage collection of images, `imagePullPolicy: Always`
(which costs a look-up in the registry).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from schedlab.api.objects import Node
from schedlab.api.selectors import required_node_affinity_matches
from schedlab.cluster.classes import PodClass, collide
from schedlab.cluster.devices import Devices
from schedlab.cluster.pods import PodLatency, PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.controlplane.etcd import Op, Phase, Stored
from schedlab.controlplane.token_bucket import TokenBucket
from schedlab.rng import Draws
from schedlab.sim.distributions import parse_distribution
from schedlab.sim.event_calendar import Calendar, Priority
from schedlab.units import quantity_value

STARTING, RUNNING, STOPPING, ENDED = 1, 2, 3, 4


class Kubelets:
    """The kubelets of the cluster.

    Attributes
    ----------
    admitted : ClusterState
        What the kubelets have admitted and not yet seen end: never more than a node can allocate.
    """

    def __init__(
        self,
        *,
        calendar: Calendar,
        api: ApiServer,
        pods: PodTable,
        nodes: Iterable[Node],
        config: ControlPlaneConfig,
        draws: Draws,
    ) -> None:
        own = config.kubelet
        self._calendar = calendar
        self._api = api
        self._pods = pods
        self._config = own
        self.admitted = ClusterState(pods.classes, scored=False)
        self._stage = array("b")
        self._ready_images: dict[tuple[int, str], int] = {}  # (node, image) -> when it is there
        self._link_free_us: dict[int, int] = {}  # node -> when its last pull ends
        self._image_sizes = {name: quantity_value(size) for name, size in own.image_sizes.items()}
        self._default_size = quantity_value(own.default_image_size)
        bandwidth = own.image_bandwidth
        self._bandwidth = 0 if bandwidth is None else quantity_value(bandwidth)
        self._images_of: dict[int, tuple[str, ...]] = {}
        self._affinity_holds: dict[tuple[int, int], bool] = {}
        self._buckets: dict[int, TokenBucket] = {}

        def latency(name: str, value: object) -> PodLatency:
            return PodLatency(parse_distribution(value), draws.stream(name), pods)

        self._sandbox = latency("sandbox", own.sandbox)
        self._start = latency("container start", own.container_start)
        self._status = latency("status update", own.status_update)
        self._end_status = latency("end status update", own.status_update)
        self._termination = latency("termination", own.termination)
        self._started_id = calendar.register("kubelet", "containers started", self._started)
        self._ended_id = calendar.register("kubelet", "containers ended", self._ended)
        self._stopped_id = calendar.register("kubelet", "containers stopped", self._stopped)
        for node in nodes:
            self._add_node(node)
        watch = api.watch("kubelet", parse_distribution(config.watch.kubelet))
        api.watch_pods(watch, Op.BIND, self._on_bind)
        api.watch_pods(watch, Op.TERMINATE, self._on_terminate)
        api.watch_pods(watch, Op.DELETE, self._on_delete)
        api.watch_objects(watch, "Node", self._on_node)

    def _add_node(self, node: Node) -> None:
        row = self.admitted.nodes.add(node)
        for image in node.status.images:
            for name in image.names:
                self._ready_images[row, name] = 0
                self._image_sizes.setdefault(name, image.size_bytes)

    def _on_node(self, stored: Stored) -> None:
        node = stored.object
        if isinstance(node, Node) and not stored.deleted:
            self._add_node(node)

    def _send_at(self, node: int, at_us: int) -> int:
        bucket = self._buckets.get(node)
        if bucket is None:
            own = self._config
            bucket = self._buckets[node] = TokenBucket(own.kube_api_qps, own.kube_api_burst)
        return bucket.take(at_us)

    # --- start ----------------------------------------------------------------------------------

    def _on_bind(self, pod: int, node: int) -> None:
        now, pods = self._calendar.now_us, self._pods
        if pod >= len(self._stage):
            self._stage.extend([0] * (len(pods) - len(self._stage)))
        pods.seen_by_kubelet_us[pod] = now
        pod_class = pods.classes[pods.pod_class[pod]]
        devices = pods.devices.get(pod)
        refusal = self._refusal(pod_class, node, devices)
        if refusal:
            self._stage[pod] = ENDED
            self._api.set_ended(pod, self._send_at(node, now), Phase.FAILED, refusal)
            return
        self.admitted.add_pod(pod, pod_class, node, devices)
        self._stage[pod] = STARTING
        pulled = self._pull(pod_class, node, now + self._sandbox.us(pod))
        pods.pulled_us[pod] = pulled
        started = pulled + self._start.us(pod)
        self._calendar.post(started, Priority.WRITE, self._started_id, pod)

    def _refusal(self, pod_class: PodClass, node: int, devices: Devices | None) -> str:
        """Return why the kubelet refuses a pod of this class, or an empty string."""
        nodes = self.admitted.nodes
        if not nodes.fits(node, pod_class.requests):
            for resource, amount in pod_class.requests:
                free = nodes.allocatable[resource, node] - nodes.requested[resource, node]
                if amount > free:
                    return f"OutOf{nodes.resources[resource]}"
        wanted = pod_class.devices
        if wanted is not None and not nodes.devices.fits_on(node, wanted, devices or ()):
            return "UnexpectedAdmissionError"  # what a device plugin that can't allocate leads to
        spec = pod_class.spec
        if spec.node_selector or spec.affinity is not None:
            key = (pod_class.id, node)
            holds = self._affinity_holds.get(key)
            if holds is None:
                there = nodes.nodes[node]
                holds = there is not None and required_node_affinity_matches(spec, there)
                self._affinity_holds[key] = holds
            if not holds:
                return "NodeAffinity"
        taken = self.admitted.used_ports.get(node, ()) if pod_class.host_ports else ()
        if any(collide(one, other) for one in pod_class.host_ports for other in taken):
            return "NodePorts"
        return ""

    def _pull(self, pod_class: PodClass, node: int, now: int) -> int:
        """Return when all images of a class are on *node*, pulls starting at *now*."""
        if self._bandwidth == 0:
            return now
        images = self._images_of.get(pod_class.id)
        if images is None:
            spec = pod_class.spec
            containers = (*spec.init_containers, *spec.containers)
            images = tuple(dict.fromkeys(c.image for c in containers if c.image))
            self._images_of[pod_class.id] = images
        done = now
        for image in images:
            there = self._ready_images.get((node, image))
            if there is None:
                size = self._image_sizes.get(image, self._default_size)
                start = done
                if self._config.serialize_image_pulls:
                    start = max(start, self._link_free_us.get(node, 0))
                there = start + size * 1_000_000 // self._bandwidth
                self._link_free_us[node] = there
                self._ready_images[node, image] = there
            done = max(done, there)
        return done

    def _started(self, pod: int) -> None:
        if self._stage[pod] != STARTING:
            return
        now, pods = self._calendar.now_us, self._pods
        self._stage[pod] = RUNNING
        pods.started_us[pod] = now
        duration, status = pods.duration_us[pod], self._status.us(pod)
        if not 0 <= duration < status:  # else the end overtakes the report of the start
            self._api.set_running(pod, self._send_at(pods.node[pod], now + status))
        if duration >= 0:
            self._calendar.post(now + duration, Priority.REMOVAL, self._ended_id, pod)

    # --- end ------------------------------------------------------------------------------------

    def _ended(self, pod: int) -> None:
        if self._stage[pod] != RUNNING:
            return
        now, pods = self._calendar.now_us, self._pods
        self._stage[pod] = ENDED
        pods.finished_us[pod] = now
        self.admitted.remove_pod(pod)
        sent = self._send_at(pods.node[pod], now + self._end_status.us(pod))
        self._api.set_ended(pod, sent, Phase.SUCCEEDED)

    def _on_terminate(self, pod: int, node: int) -> None:
        stage, now = self._stage[pod], self._calendar.now_us
        if stage == RUNNING:
            self._stage[pod] = STOPPING
            grace = self._pods.class_of(pod).spec.termination_grace_period_seconds
            limit = 30_000_000 if grace is None else grace * 1_000_000
            at = now + min(self._termination.us(pod), limit)
            self._calendar.post(at, Priority.REMOVAL, self._stopped_id, pod)
        elif stage == STARTING:
            self._stage[pod] = STOPPING
            self._stopped(pod)
        elif stage == ENDED:
            self._api.delete_pod(pod, self._send_at(node, now))

    def _stopped(self, pod: int) -> None:
        now, pods = self._calendar.now_us, self._pods
        self._stage[pod] = ENDED
        if pods.started_us[pod] >= 0:
            pods.finished_us[pod] = now
        self.admitted.remove_pod(pod)
        self._api.delete_pod(pod, self._send_at(pods.node[pod], now))

    def _on_delete(self, pod: int, node: int) -> None:
        if pod < len(self._stage) and self._stage[pod] in (STARTING, RUNNING):
            self._stage[pod] = ENDED
            self.admitted.remove_pod(pod)
