"""What an experiment is: frozen models, read from one YAML file that asks one question.

A file goes through three stages. `read_source` reads it as it stands; `resolve` lays the values of
one scenario and of the command line over it, takes in the files that it names under ``cluster``
and ``workload``, and validates; `schedlab.experiment.matrix` makes the scenarios. Values are laid
over the document and not over the models, so that whatever a user may write in the file can be an
axis or an option, with the same checks.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from schedlab.api.yaml_loader import load_documents
from schedlab.controlplane.config import ControlPlaneConfig
from schedlab.errors import InputError
from schedlab.experiment.kinds import KINDS
from schedlab.record.metrics import find_metric
from schedlab.units import MINUTE, parse_duration_us
from schedlab.workload.model import DurationUs, Spec, input_error, unknown_key
from schedlab.workload.specs import ClusterSpec, WorkloadSpec

ExperimentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,60}[A-Za-z0-9])?$")]
SchedulerName = Annotated[str, Field(pattern=r"^[^\s/\\]([^/\\]{0,60}[^\s/\\])?$")]
MAX_RUNS = 1_000_000
"""More runs than this are a mistake in the matrix."""


def _seeds(value: Any) -> Any:
    """Return 0 .. n - 1 for a number n."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        raise InputError("", found=value, expected="a number of seeds >= 1, or a list of seeds")
    if isinstance(value, int):
        if not 1 <= value <= MAX_RUNS:
            raise InputError("", found=value, expected="a number of seeds >= 1")
        return list(range(value))
    if not value or any(isinstance(seed, bool) or not isinstance(seed, int) for seed in value):
        raise InputError("", found=value, expected="a list of at least one integer")
    if len(set(value)) < len(value):
        raise InputError("", found=value, expected="each seed once")
    return value


def _until(value: Any) -> int | None:
    if value is None or value == "drain":
        return None
    try:
        until_us = parse_duration_us(value)
    except InputError:
        until_us = 0
    if until_us == 0:
        raise InputError("", found=value, expected="drain, or a duration > 0 such as 2h")
    return until_us


def _scheduler(value: Any) -> Any:
    """Return the full form of a scheduler that is given by its name, or by a file, alone."""
    if not isinstance(value, str):
        return value
    if value.endswith((".yaml", ".yml", ".json")):  # a KubeSchedulerConfiguration
        options = {"config": value}
        return {"name": Path(value).stem, "use": "kube-scheduler", "options": options}
    return {"name": value.rpartition(":")[2] or value, "use": value}


class SchedulerSpec(Spec):
    """One of the compared schedulers.

    Attributes
    ----------
    name : str
        For tables and plots; unique within the experiment.
    use : str, optional
        A built-in scheduler, ``path/to/file.py:Class`` (relative to the experiment's file),
        ``package.module:Class``, or what a package announced; the name where absent.
    options : mapping
        Arguments of the scheduler.
    """

    name: SchedulerName
    use: str = ""
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _use_name(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.get("use"):
            return {**data, "use": data.get("name", "")}
        return data


class Experiment(Spec):
    """One question: a cluster, a workload, the schedulers to compare, and over which runs.

    Attributes
    ----------
    name : str
        Names the directory of the results.
    description : str
        The question, in words.
    data : str, optional
        Directory of the traces that cluster and workload replay; where absent the one to which
        ``schedlab fetch`` writes.
    cluster : ClusterSpec, or the file of one
        The nodes.
    workload : WorkloadSpec, or the file of one
        What is asked of them.
    schedulers : list of str or SchedulerSpec
        What is compared; a KubeSchedulerConfiguration stands for kube-scheduler run by it, with
        all its profiles.
    seeds : int or list of int
        A number n means 0 .. n - 1. All schedulers meet the same draws under one seed.
    matrix : mapping of dotted path to list of values
        Each entry is an axis, such as ``workload.target_load.value: [0.8, 0.95]``; an entry of a
        list is named by its number or its name: ``workload.items.web.count``. Paths with commas
        between change together: ``cluster, workload: [[a.yaml, b.yaml], [c.yaml, d.yaml]]``.
    until : "drain" or duration
        When a run ends; "drain": when nothing can change any more.
    warm_up : duration
        What is created or used before isn't measured.
    sample_period : duration
        Time between rows of the table of samples.
    controlPlane : ControlPlaneConfig
        Latencies and limits, by a profile and single values.
    metrics : list of str
        What the comparison shows; a choice of the usual ones where absent.
    baseline : str, optional
        The scheduler that others are compared to; the first one where absent.
    plots : list of str
        Kinds of plots that are written with the results and stand in the report; a choice of the
        usual ones where absent.
    missing_traces : {"error", "leave_out"}
        Whether scenarios whose trace files are not there are an error, or left out and named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: ExperimentName
    description: str = ""
    data: str | None = None
    cluster: Annotated[
        ClusterSpec, BeforeValidator(lambda v: v, json_schema_input_type=ClusterSpec | str)
    ]
    workload: Annotated[
        WorkloadSpec, BeforeValidator(lambda v: v, json_schema_input_type=WorkloadSpec | str)
    ]
    schedulers: Annotated[
        tuple[
            Annotated[
                SchedulerSpec,
                BeforeValidator(_scheduler, json_schema_input_type=SchedulerSpec | str),
            ],
            ...,
        ],
        Field(min_length=1),
    ]
    seeds: Annotated[
        tuple[int, ...], BeforeValidator(_seeds, json_schema_input_type=int | list[int])
    ] = (0,)
    matrix: Mapping[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    until: Annotated[
        int | None,
        BeforeValidator(_until),
        PlainSerializer(lambda us: "drain" if us is None else f"{us}us"),
        WithJsonSchema({"type": ["string", "number"], "examples": ["drain", "2h"]}),
    ] = None
    warm_up: DurationUs = 0
    sample_period: DurationUs = MINUTE
    control_plane: ControlPlaneConfig = Field(
        default_factory=ControlPlaneConfig, alias="controlPlane"
    )
    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    plots: tuple[str, ...] = ()
    missing_traces: Literal["error", "leave_out"] = "error"

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        """Refuse unknown keys, naming the nearest valid one."""
        if not isinstance(data, Mapping):
            raise InputError("", found=data, expected="an experiment: a mapping of keys to values")
        valid = keys_of(cls)
        for key in data:
            if key not in valid:
                raise unknown_key(key, valid).under(str(key))
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [scheduler.name for scheduler in self.schedulers]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise InputError(f"schedulers[{i}].name", found=name, expected="unique names")
        if self.baseline is not None and self.baseline not in names:
            raise InputError("baseline", found=self.baseline, expected=f"one of {', '.join(names)}")
        if self.sample_period == 0:
            raise InputError("sample_period", found=0, expected="a duration > 0")
        if self.until is not None and self.warm_up >= self.until:
            raise InputError("warm_up", found=f"{self.warm_up}us", expected="less time than until")
        for i, metric in enumerate(self.metrics):
            try:
                find_metric(metric)
            except InputError as error:
                raise InputError(
                    f"metrics[{i}]", found=metric, expected=error.expected, hint=error.hint
                ) from None
        for i, kind in enumerate(self.plots):
            if kind not in KINDS:
                raise InputError(f"plots[{i}]", found=kind, expected=f"one of {', '.join(KINDS)}")
        return self

    def dump(self) -> dict[str, Any]:
        """Return the experiment as plain YAML values, every default written out."""
        return self.model_dump(mode="json", by_alias=True)


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys that a user writes for *model*."""
    return [field.alias or name for name, field in model.model_fields.items()]


@dataclass(frozen=True)
class Source:
    """An experiment as it was written, before anything is laid over it.

    Attributes
    ----------
    document : mapping
        Plain YAML values.
    file : str
        What errors name: the file, or the built-in experiment; empty for a mapping.
    base : Path
        Directory to which paths in it are relative.
    """

    document: Mapping[str, Any]
    file: str
    base: Path


def builtin_names() -> list[str]:
    """Return the names of the experiments that come with the package."""
    folder = resources.files("schedlab.experiment") / "builtin"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def builtin_text(name: str) -> str:
    """Return the text of a built-in experiment."""
    folder = resources.files("schedlab.experiment") / "builtin"
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def read_source(what: str | Path | Mapping[str, Any] | Experiment) -> Source:
    """Read an experiment from a file, by the name of a built-in one, or from values.

    Raises
    ------
    InputError
        There is no such file or experiment, or it holds something else than one mapping.
    """
    if isinstance(what, Experiment):
        return Source(what.dump(), "", Path())
    if isinstance(what, Mapping):
        return Source(what, "", Path())
    path, names = Path(what), builtin_names()
    if not path.is_file():
        if str(what) in names:
            document = read_mapping(builtin_text(str(what)), f"{what} (built-in)")
            return Source(document, f"{what} (built-in)", Path())
        near = difflib.get_close_matches(path.stem, names, n=1)
        raise InputError(
            "",
            found=str(what),
            expected=f"an experiment's file, or a built-in experiment ({', '.join(names)})",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return Source(read_mapping(read_text(path), str(path)), str(path), path.parent)


def read_text(path: Path) -> str:
    """Return the text of a file, or raise an `InputError` that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("", found=str(path), expected="a readable text file") from error


def read_mapping(text: str, file: str) -> dict[str, Any]:
    """Return the one mapping that a YAML text holds."""
    documents = load_documents(text, file)
    if len(documents) != 1:
        raise InputError("", found=f"<{len(documents)} documents>", expected="one", file=file)
    document = documents[0][0]
    if not isinstance(document, dict):
        raise InputError("", found=document, expected="a mapping of keys to values", file=file)
    return document


def validate_experiment(document: Mapping[str, Any], base: Path) -> Experiment:
    """Return *document* as an experiment; what doesn't fit is an `InputError` with its field."""
    try:
        return Experiment.model_validate(document, context={"base": base})
    except ValidationError as failure:
        first = failure.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden" and first["loc"][0] == "controlPlane":
            raise _unknown_parameter(first["loc"]) from None
        raise input_error(failure, document) from None


def _unknown_parameter(loc: Sequence[int | str]) -> InputError:
    """Return the error for a parameter that the control plane doesn't have."""
    section: type[BaseModel] = ControlPlaneConfig
    for step in loc[1:-1]:
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        inner = fields[str(step)].annotation if str(step) in fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return unknown_key(loc[-1], keys_of(section)).under(".".join(map(str, loc[:-1])))
