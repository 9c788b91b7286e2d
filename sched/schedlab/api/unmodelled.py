"""What the objects can say and the simulation doesn't honour yet.

Two literal tables, by type and path. A field in `UNMODELLED` would change which node a pod gets or
how many pods there are: `reject_unmodelled` makes it an error, for a comparison that quietly leaves
it out is worth nothing. A field in `APPROXIMATED` changes at most when something happens: a
`ModelWarning`. Whoever models a field deletes its line here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_snake

from schedlab.api.base import ApiModel, ModelWarning
from schedlab.api.objects import ApiObject, ApiObjectBase, JobSpec, PodTemplateSpec
from schedlab.errors import InputError

UNMODELLED: Final[Mapping[str, str]] = {
    "PodSpec.resourceClaims": "claims for devices",
    "PodSpec.containers[].resources.claims": "claims for devices",
    "PodSpec.initContainers[].resources.claims": "claims for devices",
    "PodSpec.runtimeClassName": "a runtime class, which may add overhead and node selectors",
    "JobSpec.podFailurePolicy": "a pod failure policy",
    "JobSpec.successPolicy": "a success policy",
    "JobSpec.backoffLimitPerIndex": "a back-off limit per index",
    "JobSpec.maxFailedIndexes": "a limit on failed indexes",
    "JobSpec.managedBy": "a controller other than the Job controller",
    "StatefulSet": "StatefulSets",
    "ReplicationController": "ReplicationControllers",
}
"""Type, or type and path -> what it is. These change placements."""

APPROXIMATED: Final[Mapping[str, str]] = {
    "PodSpec.activeDeadlineSeconds": "the deadline is not enforced",
    "PodSpec.readinessGates": "a pod is ready without them",
    "PodSpec.workloadRef": "gangs are off by default in Kubernetes 1.35 and here",
    "PodSpec.containers[].readinessProbe": "a container is ready when it runs",
    "PodSpec.containers[].startupProbe": "a container is started when it runs",
    "PodSpec.containers[].livenessProbe": "probes always succeed",
    "PodSpec.containers[].lifecycle": "hooks take no time",
    "PodSpec.containers[].restartPolicyRules": "no rule applies, as containers don't fail",
    "JobSpec.ttlSecondsAfterFinished": "finished Jobs stay",
    "VolumeAttachment": "it stays as it is: volumes are attached at once",
}
"""Type, or type and path -> what happens instead. These change no placement."""


_Path = tuple[tuple[str, str], ...]  # (key, attribute); the key ``[]`` stands for each entry


def _paths(table: Mapping[str, str]) -> dict[str, list[tuple[_Path, str]]]:
    """Return, per type, the table's paths as steps."""
    found: dict[str, list[tuple[_Path, str]]] = {}
    for path, reason in table.items():
        owner, _, rest = path.partition(".")
        keys = rest.replace("[]", ".[]").split(".") if rest else []
        steps = tuple((key, to_snake(key)) for key in keys)
        found.setdefault(owner, []).append((steps, reason))
    return found


_UNMODELLED: Final = _paths(UNMODELLED)
_APPROXIMATED: Final = _paths(APPROXIMATED)


def unmodelled_fields(found: ApiObject | PodTemplateSpec) -> list[tuple[str, str]]:
    """Return (path, what it is) of each field that changes placements and isn't modelled.

    >>> from schedlab.api.objects import Container, PodTemplateSpec, PodSpec
    >>> spec = PodSpec(containers=(Container(name="a"),), runtime_class_name="gvisor")
    >>> [path for path, _ in unmodelled_fields(PodTemplateSpec(spec=spec))]
    ['spec.runtimeClassName']
    """
    return list(_found(found, _UNMODELLED))


def approximated_fields(found: ApiObject | PodTemplateSpec) -> list[tuple[str, str]]:
    """Return (path, what happens instead) of each field that is only approximated."""
    return list(_found(found, _APPROXIMATED))


def reject_unmodelled(found: ApiObject | PodTemplateSpec, file: str | Path | None = None) -> None:
    """Raise for what would change placements, and warn of what is approximated.

    Parameters
    ----------
    found : ApiObject or PodTemplateSpec
        What is about to be simulated.
    file : str or Path, optional
        Where it comes from.

    Raises
    ------
    InputError
        Naming the first field of `unmodelled_fields`.

    Warns
    -----
    ModelWarning
        Once per field of `approximated_fields`, not per object.
    """
    for path, reason in unmodelled_fields(found):
        name = f"{found.kind}/{found.metadata.name}" if isinstance(found, ApiObjectBase) else ""
        raise InputError(
            f"{name}: {path}" if name else path,
            found=f"<{reason}>",
            expected="only what schedlab models so far",
            file=file,
        )
    for path, reason in approximated_fields(found):
        general = re.sub(r"\[[0-9]+\]", "[]", path)
        kind = found.kind if isinstance(found, ApiObjectBase) else "Pod"
        warnings.warn(f"{kind} {general}: {reason}", ModelWarning, stacklevel=2)


def _found(
    found: ApiObject | PodTemplateSpec, table: Mapping[str, list[tuple[_Path, str]]]
) -> Iterator[tuple[str, str]]:
    if isinstance(found, ApiObjectBase):
        for _, reason in table.get(found.kind, ()):
            yield "kind", reason
    for prefix, part in _parts(found):
        for steps, reason in table.get(type(part).__name__, ()):
            for path in _present(part, steps):
                if _counts(path, part):
                    yield f"{prefix}{path}", reason


def _parts(found: ApiObject | PodTemplateSpec) -> Iterator[tuple[str, ApiModel]]:
    """Yield the parts of an object that the tables speak of, with their paths."""
    spec = getattr(found, "spec", None)
    if spec is None:
        return
    yield "spec", spec
    template = getattr(spec, "template", None)
    if template is not None:
        yield "spec.template.spec", template.spec


def _present(part: Any, steps: _Path) -> Iterator[str]:
    """Yield the path of each value below *part* that is set, at *steps*."""
    if not steps:
        yield ""
        return
    (key, attribute), rest = steps[0], steps[1:]
    if key == "[]":
        for index, entry in enumerate(part):
            for path in _present(entry, rest):
                yield f"[{index}]{path}"
    elif value := getattr(part, attribute):
        for path in _present(value, rest):
            yield f".{key}{path}"


def _counts(path: str, part: ApiModel) -> bool:
    """Return whether a field that is set has an effect (one may say what holds anyway)."""
    if path == ".managedBy" and isinstance(part, JobSpec):
        return part.managed_by != "kubernetes.io/job-controller"
    return True
