"""Structure: every object against the schema of its kind, unknown fields refused.

Kinds of Kubernetes itself are checked by the schemas that ``kubernetes-validate`` carries, made
from Kubernetes' own; those of others (Kueue, Karpenter, Config Connector, Prometheus) by
``crds.yaml``
beside this file, which knows the fields that we use and refuses any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from fairness_core.errors import ConfigError
from pipelines.manifests.objects import Object, Objects, title

__all__ = ["VERSION", "structure"]

VERSION = "1.34"  # of Kubernetes


def structure(objects: Objects) -> Iterator[str]:
    """One line for each field that is unknown, missing or of a wrong type; and for doubles."""
    seen = set()
    for one in objects.all:
        meta = one["metadata"]
        group = one["apiVersion"].partition("/")[0]
        identity = (group, one["kind"], meta.get("namespace"), meta["name"])
        if identity in seen:
            yield f"{title(one)}: it is there twice"
        seen.add(identity)
        validator = _validator(one["apiVersion"], one["kind"])
        if validator is None:
            yield f"{title(one)}: no schema of {one['apiVersion']} {one['kind']} is known"
            continue
        for error in validator.iter_errors(dict(one)):
            place = ".".join(str(part) for part in error.absolute_path) or "it"
            yield f"{title(one)}: {place}: {_brief(error)}"


def _brief(error: Any) -> str:
    message = " ".join(str(error.message).split())
    return message if len(message) < 200 else f"{message[:197]}..."


@cache
def _validator(api: str, kind: str) -> Any:
    """Validator of a kind, or None where it is unknown."""
    try:
        import jsonschema
    except ImportError as error:
        raise _missing() from error
    own = _others().get(f"{api}/{kind}")
    if own is not None:
        schema = {"$defs": _others()["$defs"], **_object(own)}
        return jsonschema.Draft202012Validator(schema)
    group, _, version = api.rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        return None
    prefix = f"{group.partition('.')[0]}-" if group else ""
    try:
        schema = json.loads(_builtin(f"{kind.lower()}-{prefix}{version}.json"))
    except FileNotFoundError:
        return None
    return jsonschema.Draft202012Validator(schema, registry=_registry())


def _missing() -> ConfigError:
    return ConfigError(
        "Manifests are checked by schemas that are not installed",
        do="pip install 'evenhand[manifests]'",
    )


def _builtin(name: str) -> str:
    try:
        root = resources.files("kubernetes_validate")
    except ModuleNotFoundError as error:
        raise _missing() from error
    folder = root.joinpath("kubernetes-json-schema", f"v{VERSION}.0-local-strict")
    return folder.joinpath(name).read_text(encoding="utf-8")


@cache
def _registry() -> Any:
    """The definitions that the schemas of Kubernetes share."""
    import referencing

    definitions = referencing.Resource.from_contents(json.loads(_builtin("_definitions.json")))
    return definitions @ referencing.Registry()


@cache
def _others() -> Mapping[str, Any]:
    text = resources.files("pipelines.manifests").joinpath("crds.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


def _object(spec: Object) -> dict[str, Any]:
    """A kind's schema around that of its spec."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", *spec.get("required", ["spec"])],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": "#/$defs/metadata"},
            "spec": spec["spec"],
        },
    }
