"""Manifests as a set of objects that name one another."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError

__all__ = ["Object", "Objects", "Pod", "read", "selects", "title"]

Object = Mapping[str, Any]
WANTED = "folder with a kustomization, or a YAML file of rendered manifests"
# Kinds that make pods, and where their template is.
TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}


@dataclass(frozen=True)
class Pod:
    """Pods that an object makes.

    Attributes:
        owner: The object, for messages.
        namespace: Where they are.
        labels: Theirs.
        spec: Theirs.
        claims: Volumes that come from the owner's claim templates.
    """

    owner: str
    namespace: str
    labels: Mapping[str, str]
    spec: Object
    claims: tuple[str, ...] = ()

    @property
    def containers(self) -> list[Object]:
        """Those that start it, then its own."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]


class Objects:
    """What would be applied together.

    Args:
        objects: Each with apiVersion, kind and metadata.name.
    """

    def __init__(self, objects: Sequence[Object]) -> None:
        self.all = list(objects)

    def of(self, *kinds: str) -> list[Object]:
        """The objects of some kinds."""
        return [one for one in self.all if one["kind"] in kinds]

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object of that kind and name, or None."""
        for one in self.of(kind):
            meta = one["metadata"]
            if meta["name"] == name and namespace in (None, meta.get("namespace")):
                return one
        return None

    @cached_property
    def pods(self) -> list[Pod]:
        """Of every object that makes some."""
        return [pod for one in self.all for pod in _pods(one)]

    @cached_property
    def namespaces(self) -> dict[str, Object]:
        """The namespaces that are among the objects, by name."""
        return {one["metadata"]["name"]: one for one in self.of("Namespace")}

    def declared(self, namespace: str, what: str) -> list[str]:
        """Names made by hand: annotation ``evenhand.dev/WHAT`` of a namespace or what is in it."""
        found: list[str] = []
        for one in self.all:
            meta = one["metadata"]
            if namespace in (meta.get("namespace"), meta["name"] * (one["kind"] == "Namespace")):
                text = meta.get("annotations", {}).get(f"evenhand.dev/{what}", "")
                found += [name.strip() for name in text.split(",") if name.strip()]
        return found


def _pods(one: Object) -> Iterator[Pod]:
    if one["kind"] not in TEMPLATES:
        return
    template: Any = one
    for key in TEMPLATES[one["kind"]]:
        template = template.get(key) or {}
    claims = one.get("spec", {}).get("volumeClaimTemplates", [])
    yield Pod(
        title(one),
        one["metadata"].get("namespace", ""),
        template.get("metadata", {}).get("labels", {}),
        template.get("spec", {}),
        tuple(claim["metadata"]["name"] for claim in claims),
    )


def title(one: Object) -> str:
    """How messages name an object: kind, namespace and name."""
    meta = one["metadata"]
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{one['kind']} {place}{meta['name']}"


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, with matchLabels and matchExpressions, takes these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value, values = labels.get(rule["key"]), rule.get("values", [])
        met = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not met[rule["operator"]]:
            return False
    return True


def read(path: Path) -> Objects:
    """Read manifests: a folder with a kustomization is rendered, a file taken as it stands.

    Args:
        path: Folder with a kustomization.yaml, or YAML file.

    Raises:
        ConfigError: Nothing there, it cannot be rendered, it is no YAML, or one of its documents
            is no object of Kubernetes.
    """
    text = _rendered(path) if path.is_dir() else _text(path)
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        brief = " ".join(str(error).split())
        raise ConfigError(
            f"Manifests are no YAML: {brief}", given=path, do="correct them at the line named"
        ) from error
    for number, one in enumerate(documents, start=1):
        meta = one.get("metadata") if isinstance(one, dict) else None
        named = isinstance(meta, dict) and bool(meta.get("name"))
        if not named or not {"apiVersion", "kind"} <= set(one):
            raise ConfigError(
                f"Document {number} has no apiVersion, kind or metadata.name",
                given=path,
                do="give each object all three",
            )
    if not documents:
        raise ConfigError(
            "There is no object in these manifests", given=path, do=f"name a {WANTED}"
        )
    return Objects(documents)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Manifests cannot be read: {error}", given=path, do=f"name a {WANTED}"
        ) from error


def _rendered(folder: Path) -> str:
    command = next(
        (
            [found, *words]
            for name, *words in (("kubectl", "kustomize"), ("kustomize", "build"))
            if (found := shutil.which(name))
        ),
        None,
    )
    if command is None:
        raise ConfigError(
            "A folder is rendered by kubectl or kustomize, and neither is installed",
            given=folder,
            do="install one, or give a file that was rendered elsewhere",
        )
    try:
        done = subprocess.run(
            [*command, str(folder)], capture_output=True, text=True, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"Manifests cannot be rendered: {error}",
            given=folder,
            do="render the folder elsewhere, and give the file",
        ) from error
    if done.returncode != 0:
        raise ConfigError(
            f"Manifests cannot be rendered: {_reason(done.stderr)}",
            given=folder,
            do="correct the kustomization.yaml, or what it names",
        )
    return done.stdout


def _reason(said: str) -> str:
    """What the renderer complains of, without its own log's time, line and quotes."""
    found = re.search(r'err="((?:[^"\\]|\\.)*)"', said)
    text = found[1].replace('\\"', '"') if found else said
    return " ".join(text.split())[:600]
