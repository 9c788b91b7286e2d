"""From a scenario to what a simulation takes: cluster, workload and scheduler.

Everything is built in the process that runs it, from plain values: nothing but a `RunSpec` travels
between processes, so one process and many make the same run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from schedlab.api.yaml_loader import load_documents
from schedlab.errors import InputError
from schedlab.experiment.config import Experiment, SchedulerSpec, Source, validate_experiment
from schedlab.experiment.matrix import Scenario, located
from schedlab.record.provenance import versions
from schedlab.record.rundir import RunKey
from schedlab.rng import Draws
from schedlab.scheduling.base import Scheduler
from schedlab.scheduling.registry import SCHEDULERS, load_scheduler
from schedlab.workload.clusters import build_cluster, list_name, openb_file, order_file
from schedlab.workload.generate import build_workload
from schedlab.workload.openb_order import SHUFFLED
from schedlab.workload.specs import ClusterSpec, WorkloadSpec
from schedlab.workload.stream import Cluster, Workload

SCHEDULER_NAME: Final = "default-scheduler"
"""The ``schedulerName`` under which the compared scheduler stands in the cluster."""
_PATH_TO_CLASS: Final = re.compile(r"[\w./-]+:[A-Za-z_]\w*")
_NOT_OF_A_RUN: Final = ("description", "metrics", "baseline", "plots", "missing_traces")


@dataclass(frozen=True)
class RunSpec:
    """One run, in plain values that any process can take.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    key : RunKey
        Scenario, scheduler and seed.
    config : mapping
        The experiment of this run alone: one scheduler, one seed, every default written out.
    bases : mapping of str to str
        Directories to which paths are relative, see `Scenario`.
    inputs : mapping of str to str
        SHA-256 of each file that the run reads, user code included.
    run_id : str
        Hash of all that the run depends on: equal ids mean equal results.
    """

    experiment: str
    key: RunKey
    config: Mapping[str, Any]
    bases: Mapping[str, str]
    inputs: Mapping[str, str]
    run_id: str


def run_specs(scenario: Scenario) -> list[RunSpec]:
    """Return the runs of one scenario: by seed, then by scheduler."""
    whole = scenario.experiment.dump()
    common = input_files(scenario)
    specs = []
    for seed in scenario.experiment.seeds:
        orders = order_files(scenario, seed)
        for scheduler in scenario.experiment.schedulers:
            key = RunKey(scenario.name, scheduler.name, seed)
            plain = next(s for s in whole["schedulers"] if s["name"] == scheduler.name)
            config = {**whole, "schedulers": [plain], "seeds": [seed]}
            for name in _NOT_OF_A_RUN:
                config.pop(name, None)
            inputs = common | orders | code_files(scheduler, scenario.bases[""])
            digests = {name: file_digest(path) for name, path in sorted(inputs.items())}
            specs.append(
                RunSpec(
                    scenario.experiment.name,
                    key,
                    config,
                    {name: str(base) for name, base in scenario.bases.items()},
                    digests,
                    _run_id(config, digests),
                )
            )
    return specs


def _run_id(config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the identity of a run; where its files lie is no part of it, what they hold is."""
    about = {
        "config": {key: value for key, value in config.items() if key not in ("name", "data")},
        "inputs": inputs,
        "schedlab": [versions()["schedlab"], source_digest()],
    }
    text = json.dumps(about, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_digest() -> str:
    """Return a hash of the source of schedlab itself, which between two versions may differ."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def input_files(scenario: Scenario) -> dict[str, Path]:
    """Return the files that cluster, workload and options name, by the name that is written there.

    A text that names an existing file is taken for a file: one digest too many does no harm.
    """
    found: dict[str, Path] = {}
    experiment, bases = with_data(scenario), scenario.bases
    plain = experiment.dump()
    found |= trace_files(scenario)
    for part in ("cluster", "workload"):
        found |= _named_files(plain[part], bases.get(part, bases[""]))
    for scheduler in plain["schedulers"]:
        found |= _named_files(scheduler["options"], bases[""])
    return {name: path for name, path in found.items() if path.is_file()}


def trace_files(scenario: Scenario) -> dict[str, Path]:
    """Return the files of public traces that a scenario replays, there or not."""
    found: dict[str, Path] = {}
    experiment, bases = with_data(scenario), scenario.bases
    for part, key in (("cluster", "nodes"), ("workload", "pods")):
        spec: ClusterSpec | WorkloadSpec = getattr(experiment, part)
        if spec.trace is not None:
            openb, name = spec.trace.openb, getattr(spec.trace.openb, key)
            base = bases.get(part, bases[""])
            found[f"openb/{name}"] = openb_file(openb.data, name, base)
    return found


def order_files(scenario: Scenario, seed: int) -> dict[str, Path]:
    """Return the files with the recorded orders of nodes and pods that a seed names."""
    found = {}
    experiment, bases = with_data(scenario), scenario.bases
    for part in ("cluster", "workload"):
        spec: ClusterSpec | WorkloadSpec = getattr(experiment, part)
        order = None if spec.trace is None else spec.trace.openb.order
        if order not in (None, SHUFFLED):
            path = order_file(str(order), bases.get(part, bases[""]), seed)
            found[f"order/{path.name}"] = path
    return {name: path for name, path in found.items() if path.is_file()}


def _named_files(value: Any, base: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in _texts(value):
        if 2 < len(text) < 1024 and "\n" not in text and ("." in text or "/" in text):
            path = base / text
            if path.is_file():
                found[text] = path
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def code_files(scheduler: SchedulerSpec, base: Path) -> dict[str, Path]:
    """Return the files of a user's own scheduler or plugins, with what those import beside them."""
    named = [] if scheduler.use in SCHEDULERS else [(scheduler.use, base)]
    named += _own_plugins(scheduler.options.get("config"), base)
    found: dict[str, Path] = {}
    for name, folder in named:
        module, colon, _ = name.rpartition(":")
        if colon:
            _follow(_module_file(module, folder), found)
    return {f"code/{name}": path for name, path in found.items()}


def _own_plugins(config: Any, base: Path) -> list[tuple[str, Path]]:
    """Return the plugins that a KubeSchedulerConfiguration names by a path, and its directory."""
    if isinstance(config, str):
        path = base / config
        if not path.is_file():
            return []  # load_scheduler says what is wrong
        documents = load_documents(path.read_text(encoding="utf-8"), config)
        return [
            entry for document, _ in documents for entry in _own_plugins([document], path.parent)
        ]
    return [(text, base) for text in _texts(config) if _PATH_TO_CLASS.fullmatch(text)]


def _module_file(module: str, folder: Path) -> Path:
    if module.endswith(".py"):
        return folder / module
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return Path()  # load_scheduler says what is wrong
    return Path(spec.origin) if spec is not None and spec.origin else Path()


def _follow(path: Path, found: dict[str, Path]) -> None:
    """Add a module and, by its import statements, the modules in the same directory."""
    if path.name in found or not path.is_file():
        return
    found[path.name] = path
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it will fail and say so
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
        for name in names:
            _follow(path.parent / f"{name.partition('.')[0]}.py", found)


def with_data(scenario: Scenario) -> Experiment:
    """Return the experiment with what its parts share handed to the traces that don't name it.

    That is the directory ``data``, and the name of the pod list where a recorded order of the
    nodes asks for it.
    """
    experiment = scenario.experiment
    changed: dict[str, Any] = {}
    pods = experiment.workload.trace.openb.pods if experiment.workload.trace else ""
    for part in ("cluster", "workload"):
        spec: ClusterSpec | WorkloadSpec = getattr(experiment, part)
        if spec.trace is None:
            continue
        openb, update = spec.trace.openb, {}
        if experiment.data is not None and openb.data is None:
            update["data"] = str((scenario.bases[""] / experiment.data).resolve())
        if openb.order is not None:
            update["order"] = openb.order.replace("{list}", list_name(pods))
        if update:
            trace = spec.trace.model_copy(update={"openb": openb.model_copy(update=update)})
            changed[part] = spec.model_copy(update={"trace": trace})
    return experiment.model_copy(update=changed)


def scenario_of(spec: RunSpec) -> Scenario:
    """Return the scenario, of one scheduler and one seed, that a run was made from."""
    bases = {name: Path(base) for name, base in spec.bases.items()}
    experiment = validate_experiment(spec.config, bases[""])
    return Scenario(spec.key.scenario, experiment, bases, {})


def build_inputs(spec: RunSpec) -> tuple[Cluster, Workload]:
    """Return the cluster and the workload of a run; schedulers under one seed share them."""
    same = {**spec.config, "schedulers": [{"name": "any"}], "controlPlane": {}}
    inputs = {n: digest for n, digest in spec.inputs.items() if not n.startswith("code/")}
    about = json.dumps([same, dict(spec.bases), inputs], sort_keys=True, default=str)
    return _built(about, spec.key.seed, spec.key.scenario)


@lru_cache(maxsize=2)
def _built(about: str, seed: int, scenario: str) -> tuple[Cluster, Workload]:
    config, bases, _ = json.loads(about)
    return build_scenario(
        scenario_of(RunSpec("", RunKey(scenario, "any", seed), config, bases, {}, "")), seed
    )


def build_scenario(scenario: Scenario, seed: int) -> tuple[Cluster, Workload]:
    """Return the cluster and the workload of a scenario under one seed.

    Raises
    ------
    InputError
        A value or a file that can't be used; fields start with ``cluster`` or ``workload``.
    """
    experiment, bases = with_data(scenario), scenario.bases
    draws = Draws(seed)
    try:
        cluster = build_cluster(experiment.cluster, draws, bases["cluster"])
    except InputError as error:
        raise _under(error, "cluster", scenario) from None
    try:
        workload = build_workload(experiment.workload, cluster, draws, bases["workload"])
    except InputError as error:
        raise _under(error, "workload", scenario) from None
    return cluster, workload


def _under(error: InputError, part: str, scenario: Scenario) -> InputError:
    if error.file is not None:
        return error
    return located(error.under(part), Source({}, "", Path()), files=scenario.files)


def build_scheduler(scheduler: SchedulerSpec, base: Path) -> Scheduler:
    """Return a fresh scheduler: one instance per run."""
    try:
        return load_scheduler(scheduler.use, scheduler.options, base)
    except InputError as error:
        raise error.under(f"schedulers.{scheduler.name}") from None
