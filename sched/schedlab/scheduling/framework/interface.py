"""What a plugin is: kube-scheduler's extension points over columns instead of single nodes.

A plugin is any object with a `name` and methods named after the extension points it takes part in
(`POINTS`); there is no base class. It answers for many nodes at once. A filter returns one code per
node, 0 = the node passes; what a code means in words is asked only when somebody wants to know. A
score plugin returns raw scores, and normalises them over the feasible nodes of the cycle, as
upstream does.

The methods, all optional::

    concerns(state, pod_class) -> bool                    may it have anything to say about a class?
    pre_enqueue(pod, state) -> Rejection | None           may the pod enter the queue?
    sort_key(pod, since_us) -> tuple                      order of the queue, smallest first
    pre_filter(cycle) -> PreFiltered                      once per pod, before any node is looked at
    filter(cycle, rows) -> Codes                          with reasons(...) and status(...)
    moved_by(cycle, other) -> bool                        may pods of class *other* change that?
    post_filter(cycle, found, framework) -> PostFiltered  no node is feasible: preemption
    pre_score(cycle, rows) -> bool                        once per pod; True = skip my score
    score(cycle, rows) -> Scores                          with normalize(...), optional
    reserve(cycle, row) -> Rejection | None               the node is chosen; unreserve(...) undoes
    permit(cycle, row) -> Permit                          hold the pod back before it is bound
    pre_bind(cycle, row) -> Rejection | Writes | None     Writes: asked again when they are done
    bind(cycle, row) -> bool                              True = no later plugin is asked
    post_bind(cycle, row) -> None
    queueing_hint(event, pod_class, state) -> bool        may a change help a pod that I rejected?

With an attribute ``ignores_requests = True`` a plugin says that its filter and score don't follow
from what containers ask for, so that its answers hold for all classes of one form. The plugins of
kube-scheduler, but for those of resources, are known not to.

Pods that a Permit plugin holds back are in ``cycle.state.waiting``, for whoever is to let them go.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import ApiObject
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod

Rows = NDArray[np.int64]
Codes = NDArray[np.int64]
Scores = NDArray[np.int64]
MAX_NODE_SCORE = 100

POINTS: dict[str, str] = {
    "pre_enqueue": "preEnqueue",
    "sort_key": "queueSort",
    "pre_filter": "preFilter",
    "filter": "filter",
    "post_filter": "postFilter",
    "pre_score": "preScore",
    "score": "score",
    "reserve": "reserve",
    "permit": "permit",
    "pre_bind": "preBind",
    "bind": "bind",
    "post_bind": "postBind",
}
"""Method of a plugin -> the extension point in a KubeSchedulerConfiguration."""

T = TypeVar("T")


class Depends(enum.Enum):
    """What a plugin's answer for a node depends on: decides how long it may be kept."""

    STATIC = "labels, taints, flags and images of that node"
    NODE = "what is requested of that node, and the pods on it"
    DOMAIN = "the pods in the node's topology domains"
    GLOBAL = "anything"


class Code(enum.IntEnum):
    """Status codes of kube-scheduler that a plugin can give."""

    SUCCESS = 0
    ERROR = 1
    UNSCHEDULABLE = 2
    UNSCHEDULABLE_AND_UNRESOLVABLE = 3
    WAIT = 4
    SKIP = 5
    PENDING = 6


class Rejection(NamedTuple):
    """No, with upstream's reasons."""

    code: Code
    reasons: tuple[str, ...]


class Refusal(NamedTuple):
    """A rejection, and the plugin that it comes from."""

    plugin: str
    rejection: Rejection


class Permit(NamedTuple):
    """What Permit says of a pod that has its node: go on, wait, or no.

    Examples
    --------
    >>> Permit.wait(5_000_000).wait_us
    5000000
    """

    rejection: Rejection | None = None
    """Why the pod is not to be bound."""
    wait_us: int = 0
    """Hold the pod back until somebody allows it, but no longer than this; 0 = go on."""

    @classmethod
    def wait(cls, at_most_us: int) -> Permit:
        """Return that the pod has to wait for permission, for so many microseconds at most."""
        return cls(None, at_most_us)

    @classmethod
    def reject(cls, *reasons: str) -> Permit:
        """Return that the pod is not to be bound."""
        return cls(Rejection(Code.UNSCHEDULABLE, reasons))


@dataclass(frozen=True, slots=True)
class Writes:
    """What PreBind has to write, and wait for, before the pod can be bound.

    Attributes
    ----------
    objects : tuple of ApiObject
        Objects as they should be; sent through the API server. PreBind is asked again whenever
        an object has changed.
    timeout_us : int
        When to give up, from the first time on, microseconds.
    """

    objects: tuple[ApiObject, ...]
    timeout_us: int


@dataclass(frozen=True, slots=True)
class PreFiltered:
    """What PreFilter says.

    Attributes
    ----------
    skip : bool
        The plugin's filter has nothing to say about this pod.
    rejection : Rejection, optional
        No node will do.
    nodes : frozenset of str, optional
        Only nodes of these names can do.
    """

    skip: bool = False
    rejection: Rejection | None = None
    nodes: frozenset[str] | None = None


GO_ON = PreFiltered()
SKIP = PreFiltered(skip=True)


@dataclass(frozen=True, slots=True)
class Victim:
    """A running pod that preemption takes away."""

    pod: int
    """Its row."""
    priority: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node on which preemption would make room.

    Attributes
    ----------
    row : int
        The node.
    victims : tuple of Victim
        In upstream's order.
    violations : int
        How many of them violate a PodDisruptionBudget.
    """

    row: int
    victims: tuple[Victim, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class PostFiltered:
    """What PostFilter says.

    Attributes
    ----------
    chosen : Candidate, optional
        Where room is made; None = nothing helps.
    rejection : Rejection, optional
        Why nothing helps.
    eligible : bool
        The pod may preempt at all.
    candidates : tuple of Candidate
        All that were looked at, in order.
    """

    chosen: Candidate | None = None
    rejection: Rejection | None = None
    eligible: bool = True
    candidates: tuple[Candidate, ...] = ()


class Cycle:
    """One pod's way through the framework: upstream's CycleState.

    Parameters
    ----------
    state : ClusterState
        The cluster as the scheduler sees it.
    pod_class : PodClass
        What the pod asks for.
    pod : Pod, optional
        The pod itself; None where verdicts are kept for a whole class, as STATIC plugins' are.
    """

    __slots__ = ("_memo", "pod", "pod_class", "state")

    def __init__(self, state: ClusterState, pod_class: PodClass, pod: Pod | None = None) -> None:
        self.state = state
        self.pod_class = pod_class
        self.pod = pod
        self._memo: dict[object, Any] = {}

    @property
    def nodes(self) -> NodeColumns:
        """The nodes in columns."""
        return self.state.nodes

    def rows(self) -> Rows:
        """Return the rows of all nodes, increasing, int64 [N]."""
        nodes = self.state.nodes
        return np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)

    def memo(self, key: object, make: Callable[[], T]) -> T:
        """Return what *make* made when it was first called for *key* in this cycle."""
        if key not in self._memo:
            self._memo[key] = make()
        return cast("T", self._memo[key])

    def put(self, key: object, value: object) -> None:
        """Let later points of this cycle `memo` *key* without making it."""
        self._memo[key] = value


@runtime_checkable
class Plugin(Protocol):
    """Anything with a name; its methods say where it takes part (`POINTS`).

    ``depends`` (a `Depends`) belongs to filter and score plugins; without it, GLOBAL.
    """

    name: str


@runtime_checkable
class FilterPlugin(Protocol):
    """Says which nodes can't take a pod."""

    name: str

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return a code for each of *rows*: 0 = passes, int64 [len(rows)]."""
        ...

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words for a code on a node."""
        ...

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return whether evicting pods could help (UNSCHEDULABLE) or not."""
        ...


@runtime_checkable
class ScorePlugin(Protocol):
    """Says how good the feasible nodes are; may have ``pre_score`` and ``normalize`` too."""

    name: str

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return raw scores of the feasible *rows*, int64 [len(rows)]."""
        ...


def depends_on(plugin: object) -> Depends:
    """Return what a plugin's answers depend on; GLOBAL when it doesn't say."""
    found = getattr(plugin, "depends", Depends.GLOBAL)
    return found if isinstance(found, Depends) else Depends.GLOBAL


def is_upstreams(plugin: object) -> bool:
    """Return whether a plugin is one of kube-scheduler's own."""
    return type(plugin).__module__.startswith("schedlab.scheduling.plugins.")


def ignores_requests(plugin: object) -> bool:
    """Return whether a plugin is known to say the same of classes of one form.

    Upstream's resource plugins don't, but the engine answers for these apart.
    """
    return is_upstreams(plugin) or bool(getattr(plugin, "ignores_requests", False))


def prepared(plugin: object, cycle: Cycle) -> PreFiltered:
    """Return what a plugin's PreFilter says; GO_ON when it has none."""
    pre_filter = getattr(plugin, "pre_filter", None)
    return GO_ON if pre_filter is None else cast("PreFiltered", pre_filter(cycle))


def skips_score(plugin: object, cycle: Cycle, rows: Rows) -> bool:
    """Return whether a plugin's PreScore takes it out of this cycle."""
    pre_score = getattr(plugin, "pre_score", None)
    return False if pre_score is None else bool(pre_score(cycle, rows))


def normalized(plugin: object, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
    """Return a plugin's scores in 0 .. 100; as they are when it doesn't normalise."""
    normalize = getattr(plugin, "normalize", None)
    return raw if normalize is None else cast("Scores", normalize(cycle, rows, raw))


def default_normalize(raw: Scores, *, reverse: bool) -> Scores:
    """Scale raw scores to 0 .. 100 by their maximum, as upstream's DefaultNormalizeScore.

    Parameters
    ----------
    raw : int64 array of shape [F]
        Raw scores, >= 0.
    reverse : bool
        The smallest raw score is the best.

    Returns
    -------
    int64 array of shape [F]
        ``100 raw / max``, truncated; 100 minus that when reversed; where the maximum is zero, all
        100 when reversed and all 0 when not.
    """
    most = int(raw.max(initial=0))
    scaled = raw * MAX_NODE_SCORE // most if most else np.zeros_like(raw)
    return MAX_NODE_SCORE - scaled if reverse else scaled


def fit_error(size: int, counts: dict[str, int]) -> str:
    """Return kube-scheduler's message for a pod that fits nowhere.

    Parameters
    ----------
    size : int
        Number of nodes in the cluster.
    counts : dict of str to int
        How many nodes gave each reason.

    Examples
    --------
    >>> fit_error(3, {"Insufficient cpu": 2, "node(s) were unschedulable": 1})
    '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.'
    """
    parts = sorted(f"{count} {reason}" for reason, count in counts.items())
    head = f"0/{size} nodes are available"
    return f"{head}: {', '.join(parts)}." if parts else f"{head}."
