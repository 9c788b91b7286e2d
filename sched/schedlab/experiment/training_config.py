"""What a training file holds: problems to train and to validate on, a model, and a method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from schedlab.errors import InputError
from schedlab.experiment.config import ExperimentName, Source, read_mapping, read_text
from schedlab.experiment.matrix import Scenario, scenarios
from schedlab.workload.model import Positive, Spec, input_error

Objective = Literal[
    "gpu_allocation", "gpu_allocation_from_90", "gpu_idle_from_90", "pods_placed", "mean_wait"
]
Method = Literal["policy-search", "look-ahead", "ilp"]


class ProblemSet(Spec):
    """Problems: a cluster and a workload under some seeds, as in an experiment.

    Attributes
    ----------
    name : str
        Names the kind of workload.
    objective : str, optional
        What is made large there; that of the file where absent.
    seeds : int or list of int
        As in an experiment.
    cluster, workload : mapping or str
        Specs, or files that hold them.
    matrix : mapping
        Axes over both, as in an experiment.
    weight : float
        How much the mean over these problems counts beside other sets.
    """

    name: ExperimentName
    objective: Objective | None = None
    seeds: int | tuple[int, ...] = 1
    cluster: Mapping[str, Any] | str
    workload: Mapping[str, Any] | str
    matrix: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict)
    weight: Annotated[float, Field(gt=0)] = 1.0


class ModelSpec(Spec):
    """The form of the model, and where training starts.

    Attributes
    ----------
    hidden : int
        Hidden units.
    by_kind : bool
        Kinds of pods have weights of their own.
    levels : float
        Steps of a value to 1 that training starts with.
    start : mapping of str to float
        Weights by feature.
    start_from : str, optional
        The file of a linear model to start from instead.
    """

    hidden: Annotated[int, Field(ge=0, le=64)] = 0
    by_kind: bool = True
    levels: Annotated[float, Field(gt=0)] = 25.0
    start: Mapping[str, float] = Field(default_factory=dict)
    start_from: str | None = None


class SearchSpec(Spec):
    """Options of policy search; see `schedlab.scheduling.learned.search.SearchOptions`."""

    population: Annotated[int, Field(ge=4, le=1000)] = 14
    generations: Positive = 80
    sigma: Annotated[float, Field(gt=0)] = 0.05
    seed: Positive = 1
    validate_every: Positive = 5
    patience: Positive = 4


class ImitationSpec(Spec):
    """Options of learning from choices; see `schedlab.scheduling.learned.imitation`.

    Attributes
    ----------
    choices : int
        Choices a problem.
    nodes : int
        Nodes that are compared in each.
    pods : int
        How many pods look-ahead goes on with.
    rounds : int
        Look-ahead is repeated with the model that was learned.
    strength : list of float
        Tried on the validation problems: inverse strengths of regularisation.
    seconds : float
        Time limit of the solver for one problem.
    seed : int
        Of what is drawn.
    """

    choices: Positive = 100
    nodes: Annotated[int, Field(ge=2)] = 6
    pods: Positive = 400
    rounds: Positive = 1
    strength: tuple[Annotated[float, Field(gt=0)], ...] = (0.01, 0.1, 1.0)
    seconds: Annotated[float, Field(gt=0)] = 20.0
    seed: Positive = 1


class Training(Spec):
    """One training: what ``schedlab train`` reads.

    Attributes
    ----------
    name : str
        Names the directory of results and the model.
    description : str
        What the model is for.
    data : str, optional
        Directory of the traces, as in an experiment.
    method : {"policy-search", "look-ahead", "ilp"}
        How weights are found.
    objective : str
        What is made large; see `schedlab.scheduling.learned.objectives`.
    training, validation : list of ProblemSet
        Disjoint by name; weights are fitted on the first and chosen by the second.
    model : ModelSpec
        Form and start.
    search : SearchSpec
        For policy-search.
    imitation : ImitationSpec
        For the others.
    """

    name: ExperimentName
    description: str = ""
    data: str | None = None
    method: Method = "policy-search"
    objective: Objective
    training: Annotated[tuple[ProblemSet, ...], Field(min_length=1)]
    validation: Annotated[tuple[ProblemSet, ...], Field(min_length=1)]
    model: ModelSpec = Field(default_factory=ModelSpec)
    search: SearchSpec = Field(default_factory=SearchSpec)
    imitation: ImitationSpec = Field(default_factory=ImitationSpec)

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        names = [entry.name for entry in (*self.training, *self.validation)]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise InputError(
                    "validation", found=name, expected="names that training doesn't have, each once"
                )
        return self


def read_training(path: Path, data: str | None = None) -> tuple[Training, Source]:
    """Read a training file.

    Parameters
    ----------
    path : Path
        The file.
    data : str, optional
        Directory of the traces, instead of the one that the file names.

    Raises
    ------
    InputError
        With file, field, what was found and what is expected.
    """
    document = read_mapping(read_text(path), str(path))
    if data is not None:
        document["data"] = str(Path(data).resolve())
    try:
        training = Training.model_validate(document, context={"base": path.parent})
    except ValidationError as failure:
        error = input_error(failure, document)
        raise InputError(
            error.field, found=error.found, expected=error.expected, hint=error.hint, file=path
        ) from None
    return training, Source(document, str(path), path.parent)


def scenarios_of(entry: ProblemSet, training: Training, source: Source) -> list[Scenario]:
    """Return the scenarios of a set of problems."""
    document: dict[str, Any] = {
        "name": entry.name,
        "cluster": entry.cluster,
        "workload": entry.workload,
        "schedulers": ["learned"],
        "seeds": list(entry.seeds) if isinstance(entry.seeds, tuple) else entry.seeds,
        "matrix": {path: list(values) for path, values in entry.matrix.items()},
    }
    if training.data is not None:
        document["data"] = training.data
    return scenarios(Source(document, source.file, source.base))
