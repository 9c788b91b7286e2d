"""Manifests: files of Kubernetes objects, and objects back to manifests.

Read are YAML streams and JSON, plain or gzipped, ``List`` kinds, and the output of ``kubectl get
-o yaml``. Kinds that can't matter to scheduling are skipped with a `ModelWarning`; kinds that could
and aren't known are errors. Nothing is filled in here: defaults are the API server's business.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from schedlab.api.base import ApiModel, ModelWarning
from schedlab.api.invalid import input_error, nearest
from schedlab.api.objects import KINDS, ApiObject
from schedlab.api.yaml_loader import MAX_TEXT, load_documents
from schedlab.errors import InputError

IGNORED_KINDS: Final = frozenset(
    "APIService CertificateSigningRequest ClusterRole ClusterRoleBinding ConfigMap"
    " ControllerRevision CustomResourceDefinition Endpoints EndpointSlice Event FlowSchema Ingress"
    " IngressClass Lease MutatingWebhookConfiguration NetworkPolicy PodTemplate"
    " PriorityLevelConfiguration Role RoleBinding Secret ServiceAccount"
    " ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"
    " ValidatingWebhookConfiguration VolumeAttributesClass".split()
)
"""Kinds that are skipped with a warning: no placement and no number of pods depends on them."""

SUFFIXES: Final = (".yaml", ".yml", ".json", ".yaml.gz", ".yml.gz", ".json.gz")
"""Names of the files that `read_manifests` takes from a directory."""

ANNOTATIONS: Final = (
    "schedlab.io/duration",
    "schedlab.io/estimated-duration",
    "schedlab.io/submit-at",
    "schedlab.io/delete-at",
)
"""schedlab's own: how long a pod runs, what a scheduler may know of it, when clients send it."""


def read_manifests(path: str | Path) -> list[ApiObject]:
    """Return the objects in a file, or in all manifests of a directory in order of their names.

    Parameters
    ----------
    path : str or Path
        A ``.yaml``, ``.yml`` or ``.json`` file, also gzipped, or a directory of such files.

    Raises
    ------
    InputError
        When it can't be read, or for what `parse_manifests` refuses.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and p.name.endswith(SUFFIXES))
        if not files:
            raise InputError("", found="<none>", expected=f"files {', '.join(SUFFIXES)}", file=path)
        return [found for file in files for found in read_manifests(file)]
    return parse_manifests(read_text(path), file=str(path))


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked where its name ends in ``.gz``.

    Raises
    ------
    InputError
        It can't be read, or is too long.
    """
    expected = f"a text of at most {MAX_TEXT} bytes"
    try:
        if path.stat().st_size > MAX_TEXT:
            raise InputError("", found=f"<{path.stat().st_size} bytes>", expected=expected)
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                data = stream.read(MAX_TEXT + 1)
            if len(data) > MAX_TEXT:
                raise InputError("", found="<more, once unpacked>", expected=expected)
        else:
            data = path.read_bytes()
        return data.decode("utf-8-sig")
    except InputError as error:
        raise error.in_file(path) from None
    except FileNotFoundError:
        raise InputError("", found="<nothing>", expected="a file", file=path) from None
    except UnicodeDecodeError as error:
        found = f"<byte {error.object[error.start]:#x} at {error.start}>"
        raise InputError("", found=found, expected="UTF-8 text", file=path) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("", found=f"<{reason}>", expected="a readable file", file=path) from None


def parse_manifests(text: str, *, file: str = "") -> list[ApiObject]:
    """Return the objects in a text, in order.

    Parameters
    ----------
    text : str
        YAML documents or JSON.
    file : str, default ""
        Name for error messages.

    Raises
    ------
    InputError
        For the first field that is unknown or has a value that Kubernetes would refuse. Its field
        starts with the object, as ``Deployment/web: spec.replicas``.
    """
    return parse_documents(load_documents(text, file), file)


def parse_documents(documents: list[tuple[Any, int]], file: str = "") -> list[ApiObject]:
    """Return the objects in documents that come with their lines (see `parse_manifests`)."""
    found = []
    for document, line in documents:
        for item, kind in _items(document, line, file):
            parsed = parse_object(item, kind=kind, file=file, line=line)
            if parsed is not None:
                found.append(parsed)
    return found


def _items(document: Any, line: int, file: str) -> Iterator[tuple[Any, str]]:
    """Yield the objects of a document, each with the kind that its list implies."""
    kind = document.get("kind") if isinstance(document, Mapping) else None
    if not isinstance(kind, str) or not kind.endswith("List"):
        yield document, ""
        return
    items = document.get("items")
    if not isinstance(items, list):
        raise InputError(
            f"{kind} (line {line}): items",
            found="<nothing>" if items is None else items,
            expected="a list",
            file=file or None,
        )
    implied = "" if kind == "List" else kind.removesuffix("List")
    for item in items:
        for inner, inner_kind in _items(item, line, file):
            yield inner, inner_kind or implied


def parse_object(
    document: Any, *, kind: str = "", file: str = "", line: int = 0
) -> ApiObject | None:
    """Return the object that one document describes.

    Parameters
    ----------
    document : mapping
        Plain values, as JSON has them.
    kind : str, default ""
        The kind of documents that don't tell (items of a ``PodList``).
    file : str, default ""
        Name for error messages.
    line : int, default 0
        Line for error messages about objects without a name.

    Returns
    -------
    ApiObject or None
        None for a kind in `IGNORED_KINDS`, after a `ModelWarning`.
    """
    where = _where(document, kind, line)
    try:
        model = _model_of(document, kind)
        if model is None:
            return None
        return _validated(document, model)
    except ValidationError as error:
        raise _located(input_error(error, model or ApiModel), where, file) from None
    except InputError as error:
        raise _located(error, where, file) from None


def _model_of(document: Any, implied: str) -> type[ApiObject] | None:
    """Return the model of a document, None when its kind is to be ignored."""
    if not isinstance(document, Mapping):
        raise InputError("", found=document, expected="a Kubernetes object (a mapping)")
    kind = document.get("kind", implied)
    if not isinstance(kind, str) or not kind:
        raise InputError("kind", found=kind or "<nothing>", expected="a kind such as Pod")
    version = document.get("apiVersion")
    if kind in IGNORED_KINDS:
        warnings.warn(f"{kind} objects are skipped: they don't matter here", ModelWarning, 2)
        return None
    model = KINDS.get(kind)
    if model is None:
        raise InputError(
            "kind", found=kind, expected="a kind that schedlab reads", hint=nearest(kind, [*KINDS])
        )
    if version != model.api_version and not (version is None and implied):
        found = "<nothing>" if version is None else version
        raise InputError("apiVersion", found=found, expected=model.api_version)
    return model


def _validated(document: Mapping[str, Any], model: type[ApiObject]) -> ApiObject:
    body = {key: value for key, value in document.items() if key not in ("kind", "apiVersion")}
    found = model.model_validate(body, by_alias=True, by_name=False)
    if not found.metadata.name and not found.metadata.generate_name:
        raise InputError("metadata.name", found="<nothing>", expected="a name")
    if not model.namespaced and found.metadata.namespace:
        raise InputError(
            "metadata.namespace",
            found=found.metadata.namespace,
            expected=f"nothing: a {model.kind} has no namespace",
        )
    _check_annotations(found)
    return found


def _check_annotations(found: ApiObject) -> None:
    """Refuse annotations under schedlab.io that mean nothing: they are slips of the pen."""
    template = getattr(getattr(found, "spec", None), "template", None)
    places = {"metadata": found.metadata}
    if template is not None:
        places["spec.template.metadata"] = template.metadata
    for place, metadata in places.items():
        for key in metadata.annotations:
            if key.startswith("schedlab.io/") and key not in ANNOTATIONS:
                raise InputError(
                    f"{place}.annotations",
                    found=key,
                    expected="an annotation that schedlab knows",
                    hint=nearest(key, ANNOTATIONS),
                )


def _where(document: Any, kind: str, line: int) -> str:
    """Return how error messages call the object: ``Deployment/web``."""
    if not isinstance(document, Mapping):
        return f"line {line}" if line else ""
    kind = str(document.get("kind", kind)) or "object"
    metadata = document.get("metadata")
    name = (
        metadata.get("name") or metadata.get("generateName")
        if isinstance(metadata, Mapping)
        else ""
    )
    if isinstance(name, str) and name:
        return f"{kind}/{name[:80]}"
    return f"{kind} (line {line})" if line else kind


def _located(error: InputError, where: str, file: str) -> InputError:
    field = ": ".join(part for part in (where, error.field) if part)
    return InputError(
        field, found=error.found, expected=error.expected, file=file or None, hint=error.hint
    )


def write_manifest(found: ApiObject) -> dict[str, Any]:
    """Return an object as plain values, as ``kubectl`` would take it.

    Fields that were never set are left out, and so are those that schedlab drops when it reads
    (`schedlab.api.known_fields`); `parse_object` gives an equal object back.
    """
    body = found.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {"apiVersion": found.api_version, "kind": found.kind, **body}
