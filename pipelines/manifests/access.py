"""Who may do what: accounts, roles, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from components.finetune.trainer import CALLS
from pipelines.manifests.objects import Object, Objects, title

__all__ = ["calls", "roles", "secrets"]

RUNS = "evenhand-runs"
# Roles that Kubernetes and Kubeflow bring.
OTHERS = ("view", "edit", "kubeflow-view", "kubeflow-edit")
PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@$(]+:[^/\s@$(]+@|AKIA[0-9A-Z]{16}"
)
SECRET = re.compile(
    r"(^|[_.-])(password|passwd|secret|token|credentials?|api[_-]?key|access[_-]?key)($|[_.-])",
    re.I,
)
# Environment of a pod and keys of a ConfigMap that only say where a secret is.
PLACES = ("_PATH", "_FILE", "_URI", "_URL")


def roles(objects: Objects) -> Iterator[str]:
    """Bindings of roles or accounts that are not there, rights to everything, unknown accounts."""
    for one in objects.of("Role", "ClusterRole"):
        for rule in one.get("rules", []):
            if any("*" in rule.get(part, []) for part in ("apiGroups", "resources", "verbs")):
                yield f"{title(one)}: a rule holds '*'"
    yield from _bindings(objects)
    for pod in objects.pods:
        name = pod.spec.get("serviceAccountName")
        if name and not _account(objects, name, pod.namespace):
            yield f"{pod.owner}: there is no ServiceAccount '{name}' in {pod.namespace}"
        if pod.spec.get("automountServiceAccountToken") is not False and not name:
            yield f"{pod.owner}: it gets a token of the default account, which it does not need"


def _bindings(objects: Objects) -> Iterator[str]:
    for one in objects.of("RoleBinding", "ClusterRoleBinding"):
        role = one["roleRef"]
        namespace = one["metadata"].get("namespace") if role["kind"] == "Role" else None
        known = role["name"] in OTHERS or objects.get(role["kind"], role["name"], namespace)
        if not known:
            yield f"{title(one)}: there is no {role['kind']} '{role['name']}'"
        for subject in one.get("subjects", []):
            if subject["kind"] != "ServiceAccount":
                continue
            where = subject.get("namespace", one["metadata"].get("namespace"))
            if not _account(objects, subject["name"], where):
                yield f"{title(one)}: there is no ServiceAccount '{where}/{subject['name']}'"


def _account(objects: Objects, name: str, namespace: str) -> bool:
    return objects.get("ServiceAccount", name, namespace) is not None


def calls(objects: Objects) -> Iterator[str]:
    """Where there is the account of runs: calls of a distributed training that it may not make."""
    for account in objects.of("ServiceAccount"):
        if account["metadata"]["name"] != RUNS:
            continue
        namespace = account["metadata"]["namespace"]
        granted = list(_rules(objects, RUNS, namespace))
        for group, resource, verb in CALLS:
            if not allowed(granted, group, resource, verb):
                yield f"{title(account)}: it may not {verb} {resource} of group '{group}'"


def _rules(objects: Objects, account: str, namespace: str) -> Iterator[Object]:
    for one in objects.of("RoleBinding"):
        where = one["metadata"].get("namespace")
        bound = any(
            subject["kind"] == "ServiceAccount"
            and subject["name"] == account
            and subject.get("namespace", where) == namespace
            for subject in one.get("subjects", [])
        )
        if where != namespace or not bound:
            continue
        role = objects.get(one["roleRef"]["kind"], one["roleRef"]["name"])
        yield from role.get("rules", []) if role else []


def allowed(rules: Sequence[Object], group: str, resource: str, verb: str) -> bool:
    """Whether one of some rules allows a call on any object of a kind."""
    return any(
        group in rule.get("apiGroups", [])
        and resource in rule.get("resources", [])
        and verb in rule.get("verbs", [])
        and not rule.get("resourceNames")
        for rule in rules
    )


def secrets(objects: Objects) -> Iterator[str]:
    """Secrets that stand in a manifest, whatever object they are in."""
    for one in objects.of("Secret"):
        if one.get("data") or one.get("stringData"):
            yield f"{title(one)}: a secret stands in a manifest; make it by hand or an operator"
    for one in objects.of("ConfigMap"):
        for key, value in one.get("data", {}).items():
            if PRIVATE.search(value) or _secret_name(key):
                yield f"{title(one)}: '{key}' reads like a secret"
    for pod in objects.pods:
        for one in pod.containers:
            where = f"{pod.owner}, container {one['name']}"
            yield from (f"{where}: {problem}" for problem in _written_out(one))


def _written_out(container: Object) -> Iterator[str]:
    for entry in container.get("env", []):
        value = entry.get("value", "")
        if value and (_secret_name(entry["name"]) or PRIVATE.search(value)):
            yield f"variable {entry['name']} holds a secret"
    for word in [*container.get("command", []), *container.get("args", [])]:
        if PRIVATE.search(word):
            yield "its command line holds a secret"


def _secret_name(name: str) -> bool:
    return bool(SECRET.search(name)) and not name.upper().endswith(PLACES)
