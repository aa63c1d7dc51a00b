"""What pods run and reach: images, limits, probes, users, volumes, and the services before them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipelines.manifests.objects import Object, Objects, Pod, selects, title

__all__ = ["containers", "placeholders", "selectors", "volumes"]

# A name with a digest, or with a tag that says a version.
PINNED = re.compile(r"(@sha256:[0-9a-f]{64}|:v?[0-9][\w.-]*)$")
LASTING = ("Deployment", "StatefulSet", "DaemonSet")


def containers(objects: Objects) -> Iterator[str]:
    """Images that may change, missing limits and probes, and rights that nothing here needs."""
    for pod in objects.pods:
        lasting = pod.owner.startswith(LASTING)
        for one in pod.containers:
            where = f"{pod.owner}, container {one['name']}"
            image = one.get("image", "")
            if not PINNED.search(image):
                yield f"{where}: the image is not pinned to a version or digest: '{image}'"
            yield from _resources(where, one)
            yield from _rights(where, one, pod.spec)
            if not lasting or one in pod.spec.get("initContainers", []):
                continue
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in one:
                    yield f"{where}: it has no {probe}"
                elif not _probe_port(one[probe], one):
                    yield f"{where}: the port of its {probe} is not one of its ports"


def _resources(where: str, one: Object) -> Iterator[str]:
    resources = one.get("resources", {})
    for side in ("requests", "limits"):
        for kind in ("cpu", "memory"):
            if kind not in resources.get(side, {}):
                yield f"{where}: it has no {kind} under {side}"


def _rights(where: str, one: Object, pod: Object) -> Iterator[str]:
    security = {**pod.get("securityContext", {}), **one.get("securityContext", {})}
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
        yield f"{where}: it may run as root"
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield f"{where}: it may gain privileges"
    if "ALL" not in security.get("capabilities", {}).get("drop", []):
        yield f"{where}: it keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{where}: it may write to its image"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{where}: it has no seccomp profile"
    if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
        yield f"{where}: it shares the node's network or processes"


def _probe_port(probe: Object, one: Object) -> bool:
    port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
    return port is None or port in _ports(one)


def _ports(one: Object) -> set[Any]:
    return {port[key] for port in one.get("ports", []) for key in ("name", "containerPort")
            if key in port}  # fmt: skip


def volumes(objects: Objects) -> Iterator[str]:
    """Mounts without a volume, volumes without a mount, and what they and variables come from."""
    for pod in objects.pods:
        known = {one["name"] for one in pod.spec.get("volumes", [])} | set(pod.claims)
        used = set()
        for one in pod.containers:
            for mount in one.get("volumeMounts", []):
                used.add(mount["name"])
                if mount["name"] not in known:
                    yield f"{pod.owner}, container {one['name']}: no volume '{mount['name']}'"
        yield from (f"{pod.owner}: nothing mounts volume '{name}'" for name in known - used)
        for kind, name in _sources(pod):
            if not _exists(objects, kind, name, pod.namespace):
                yield f"{pod.owner}: there is no {kind} '{name}' in {pod.namespace}"


# Where a pod names what it reads: volume or variable, its key there, and the kind.
VOLUMES = (
    ("secret", "secretName", "Secret"),
    ("configMap", "name", "ConfigMap"),
    ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
)
VARIABLES = (
    ("secretKeyRef", "Secret"),
    ("configMapKeyRef", "ConfigMap"),
    ("secretRef", "Secret"),
    ("configMapRef", "ConfigMap"),
)


def _sources(pod: Pod) -> Iterator[tuple[str, str]]:
    """Secrets, ConfigMaps and claims that a pod reads."""
    for volume in pod.spec.get("volumes", []):
        for key, name, kind in VOLUMES:
            if key in volume:
                yield kind, volume[key][name]
    for one in pod.containers:
        variables = [entry.get("valueFrom", {}) for entry in one.get("env", [])]
        for entry in variables + one.get("envFrom", []):
            for key, kind in VARIABLES:
                if key in entry:
                    yield kind, entry[key]["name"]


def _exists(objects: Objects, kind: str, name: str, namespace: str) -> bool:
    if objects.get(kind, name, namespace) is not None:
        return True
    declared = {"Secret": "secrets", "ConfigMap": "configmaps"}.get(kind, "claims")
    return name in objects.declared(namespace, declared)


def selectors(objects: Objects) -> Iterator[str]:
    """Workloads that do not select their own pods, services that select none or a port of none."""
    for one in objects.of("Deployment", "StatefulSet", "DaemonSet"):
        spec = one["spec"]
        labels = spec["template"].get("metadata", {}).get("labels", {})
        if not selects(spec.get("selector", {}), labels):
            yield f"{title(one)}: its selector does not take its own pods"
        service = spec.get("serviceName")
        if service and objects.get("Service", service, one["metadata"].get("namespace")) is None:
            yield f"{title(one)}: there is no service '{service}'"
    for one in objects.of("Service"):
        chosen = one["spec"].get("selector")
        if not chosen:
            continue
        behind = [
            pod
            for pod in objects.pods
            if pod.namespace == one["metadata"].get("namespace")
            and selects({"matchLabels": chosen}, pod.labels)
        ]
        if not behind:
            yield f"{title(one)}: its selector takes no pods"
            continue
        known = set().union(*(_ports(c) for pod in behind for c in pod.containers))
        for port in one["spec"]["ports"]:
            if port.get("targetPort", port["port"]) not in known:
                yield f"{title(one)}: no container has port '{port.get('targetPort')}'"


def placeholders(objects: Objects) -> Iterator[str]:
    """Values that are still to be filled in: they hold ``REPLACE``."""
    for one in objects.all:
        yield from (f"{title(one)}: {place} is to be filled in" for place in _unfilled(one, ""))


def _unfilled(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, str) and "REPLACE" in value:
        yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unfilled(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unfilled(inner, f"{place}.{number}")
