"""From the chosen node to the bound pod: Reserve, Permit, PreBind, Bind and PostBind of a profile.

A policy has no clock and writes nothing. It is asked at each of these points by the component that
has both, and keeps one `Cycle` per pod meanwhile, on which plugins find what they put there before.
`hooks` says which points concern pods of a class at all: with the default plugins none does, unless
a pod has volumes, and such pods cost nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schedlab.cluster.classes import PodClass
from schedlab.cluster.devices import Devices
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.interface import Cycle, Permit, Refusal, Rejection, Writes
from schedlab.scheduling.framework.profiles import Profile

HOOKS: Final = ("pre_enqueue", "reserve", "permit", "pre_bind", "bind", "post_bind")
"""The points at which a component asks, beside the decision itself."""
BUILT_IN: Final = "schedlab.scheduling."
UPSTREAMS: Final = "schedlab.scheduling.plugins."
GPU_POLICIES: Final = "schedlab.scheduling.gpu."


def concerned(plugin: Any, pod_class: PodClass, state: ClusterState) -> bool:
    """Return whether a plugin's hooks have anything to do for pods of a class.

    Of those that come with schedlab, few ever do; one of a user's own may say (``concerns``).
    """
    if _of(plugin, BUILT_IN):
        spec = pod_class.spec
        asked = {
            "SchedulingGates": spec.scheduling_gates,
            "VolumeBinding": spec.volumes,
            "DynamicResources": spec.resource_claims,
        }
        return bool(asked.get(plugin.name))
    own = getattr(plugin, "concerns", None)
    return True if own is None else bool(own(state, pod_class))


class BindingPoints:
    """These points of one profile.

    Parameters
    ----------
    profile : Profile
        Its plugins.
    """

    def __init__(self, profile: Profile) -> None:
        self._plugins: Mapping[str, tuple[Any, ...]] = {p: profile.plugins(p) for p in HOOKS}
        self._hooks: dict[int, frozenset[str]] = {}
        self._holding: dict[int, Cycle] = {}
        self._choosers = tuple(p for p in self._plugins["reserve"] if not _of(p, UPSTREAMS))
        self._only_choose = all(_of(plugin, GPU_POLICIES) for plugin in self._choosers)

    def hooks(self, pod_class: PodClass, state: ClusterState) -> frozenset[str]:
        """Return the points, of `HOOKS`, that concern pods of a class."""
        found = self._hooks.get(pod_class.id)
        if found is None:
            found = self._hooks[pod_class.id] = frozenset(
                point
                for point, plugins in self._plugins.items()
                if any(concerned(plugin, pod_class, state) for plugin in plugins)
            )
        return found

    def pre_enqueue(self, pod: Pod, state: ClusterState) -> Refusal | None:
        """Return why a pod may not enter the queue yet; None when it may."""
        for plugin in self._plugins["pre_enqueue"]:
            rejection: Rejection | None = plugin.pre_enqueue(pod, state)
            if rejection is not None:
                return Refusal(plugin.name, rejection)
        return None

    def try_reserve(self, cycle: Cycle, row: int) -> Refusal | None:
        """Run Reserve; where a plugin objects, all that were asked give back what they took."""
        plugins = self._plugins["reserve"]
        for number, plugin in enumerate(plugins):
            rejection: Rejection | None = plugin.reserve(cycle, row)
            if rejection is not None:
                _give_back(cycle, row, plugins[: number + 1])
                return Refusal(plugin.name, rejection)
        return None

    def give_back(self, cycle: Cycle, row: int) -> None:
        """Let the Reserve plugins give back what they took for a trial."""
        _give_back(cycle, row, self._plugins["reserve"])

    def devices(self, cycle: Cycle, row: int) -> Devices | None:
        """Return the GPUs that a Reserve plugin chooses on a node; None = no plugin does.

        Reserve is tried and taken back; plugins that choose GPUs and do nothing else are spared it.
        """
        if not self._choosers:
            return None
        if self._only_choose:
            for plugin in self._choosers:
                plugin.reserve(cycle, row)
        else:
            state = cycle.state
            mark = state.mark()
            try:
                if self.try_reserve(cycle, row) is None:
                    self.give_back(cycle, row)
            finally:
                state.undo(mark)
        return cycle.memo("devices", _nothing)

    def reserve(self, pod: Pod, row: int, state: ClusterState) -> Refusal | None:
        """Run Reserve for a pod that has been assumed on a node, and keep its cycle."""
        if not self.hooks(pod.pod_class, state):
            return None
        cycle = Cycle(state, pod.pod_class, pod)
        refusal = self.try_reserve(cycle, row)
        if refusal is None:
            self._holding[pod.row] = cycle
        return refusal

    def unreserve(self, pod: int, row: int) -> None:
        """Give back what `reserve` took: the pod is not bound after all."""
        cycle = self._holding.pop(pod, None)
        if cycle is not None:
            self.give_back(cycle, row)

    def permit(self, pod: Pod, row: int, state: ClusterState) -> dict[str, Permit]:
        """Return what each Permit plugin says, by name, up to the first that rejects."""
        said: dict[str, Permit] = {}
        cycle = self._cycle(pod, state)
        for plugin in self._plugins["permit"]:
            answer = said[plugin.name] = plugin.permit(cycle, row)
            if answer.rejection is not None:
                break
        return said

    def pre_bind(self, pod: Pod, row: int, state: ClusterState) -> Refusal | Writes | None:
        """Run PreBind; the plugins after one that has to write are asked when that is done."""
        cycle = self._cycle(pod, state)
        for plugin in self._plugins["pre_bind"]:
            answer: Rejection | Writes | None = plugin.pre_bind(cycle, row)
            if isinstance(answer, Rejection):
                return Refusal(plugin.name, answer)
            if answer is not None:
                return answer
        return None

    def bind(self, pod: Pod, row: int, state: ClusterState) -> bool:
        """Ask the Bind plugins in turn, until one says that it has seen to the binding.

        The binding itself is written by the component in any case: nobody else can.
        """
        cycle = self._cycle(pod, state)
        return any(plugin.bind(cycle, row) for plugin in self._plugins["bind"])

    def post_bind(self, pod: Pod, row: int, state: ClusterState) -> None:
        """Tell the PostBind plugins that a pod is bound, and forget its cycle."""
        cycle = self._cycle(pod, state)
        self._holding.pop(pod.row, None)
        for plugin in self._plugins["post_bind"]:
            plugin.post_bind(cycle, row)

    def _cycle(self, pod: Pod, state: ClusterState) -> Cycle:
        held = self._holding.get(pod.row)
        return Cycle(state, pod.pod_class, pod) if held is None else held


def _of(plugin: Any, package: str) -> bool:
    return type(plugin).__module__.startswith(package)


def _nothing() -> None:
    return None


def _give_back(cycle: Cycle, row: int, plugins: Sequence[Any]) -> None:
    for plugin in reversed(plugins):
        if hasattr(plugin, "unreserve"):
            plugin.unreserve(cycle, row)
