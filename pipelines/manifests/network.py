"""Network policies: everything is denied first, and each rule is about pods that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.manifests.objects import Objects, selects, title
from pipelines.places import PART_OF, run_pods

__all__ = ["policies"]

RUNS = "evenhand-runs"
NAME = "kubernetes.io/metadata.name"
# Names that other programs' namespaces have.
OTHERS = ("kube-system", "kubeflow", "istio-system", "monitoring")


def policies(objects: Objects) -> Iterator[str]:
    """Namespaces without a denial, policies and peers that no pod meets, ports that none has."""
    known = _pods(objects)
    everywhere = objects.of("NetworkPolicy")
    for namespace in sorted({where for where, _ in known} & set(objects.namespaces)):
        mine = [one for one in everywhere if one["metadata"].get("namespace") == namespace]
        if not any(_denies(one["spec"]) for one in mine):
            yield f"Namespace {namespace}: no policy denies what the others do not allow"
    for one in everywhere:
        spec, namespace = one["spec"], one["metadata"].get("namespace", "")
        chosen = [
            labels for where, labels in known
            if where == namespace and selects(spec["podSelector"], labels)
        ]  # fmt: skip
        if not chosen:
            yield f"{title(one)}: it is about no pods"
        for side, key in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(side, []):
                if not rule.get(key):
                    yield f"{title(one)}: a rule of its {side} allows everybody"
                for peer in rule.get(key, []):
                    yield from (
                        f"{title(one)}: {problem}"
                        for problem in _peer(peer, namespace, known, objects)
                    )
        yield from _ports(one, objects)


def _pods(objects: Objects) -> list[tuple[str, Mapping[str, str]]]:
    """Namespace and labels of the pods that manifests make, and of those that runs will."""
    found = [(pod.namespace, pod.labels) for pod in objects.pods]
    for account in objects.of("ServiceAccount"):
        if account["metadata"]["name"] == RUNS:
            found += [(account["metadata"]["namespace"], labels) for labels in run_pods()]
    return found


def _denies(spec: Mapping[str, Any]) -> bool:
    """Whether it denies all that comes and goes, for every pod or for every pod of ours."""
    selector = spec["podSelector"]
    ours = selector.get("matchLabels", {}) in ({}, PART_OF) and "matchExpressions" not in selector
    both = set(spec.get("policyTypes", [])) == {"Ingress", "Egress"}
    return ours and both and not spec.get("ingress") and not spec.get("egress")


def _peer(
    peer: Mapping[str, Any],
    namespace: str,
    known: list[tuple[str, Mapping[str, str]]],
    objects: Objects,
) -> Iterator[str]:
    if "ipBlock" in peer:
        return
    spaces = {namespace}
    if "namespaceSelector" in peer:
        selector = peer["namespaceSelector"]
        named = selector.get("matchLabels", {}).get(NAME)
        if named in OTHERS and named not in objects.namespaces:
            return
        spaces = {
            name
            for name, one in objects.namespaces.items()
            if selects(selector, {NAME: name, **one["metadata"].get("labels", {})})
        }
        if not spaces:
            yield f"no namespace is meant by {selector}"
            return
    elsewhere = bool(spaces & set(OTHERS)) and namespace not in spaces
    selector = peer.get("podSelector", {})
    met = any(where in spaces and selects(selector, labels) for where, labels in known)
    if not met and not elsewhere:
        yield f"no pods are meant by {selector} in {', '.join(sorted(spaces))}"


def _ports(one: Mapping[str, Any], objects: Objects) -> Iterator[str]:
    """Ports that a policy opens, of pods that have no such port."""
    spec, namespace = one["spec"], one["metadata"].get("namespace", "")
    behind = [
        pod for pod in objects.pods
        if pod.namespace == namespace and selects(spec["podSelector"], pod.labels)
    ]  # fmt: skip
    have = {
        port[key]
        for pod in behind
        for container in pod.containers
        for port in container.get("ports", [])
        for key in ("name", "containerPort")
        if key in port
    }
    for rule in spec.get("ingress", []) if behind else []:
        for port in rule.get("ports", []):
            if port.get("port") not in have:
                yield f"{title(one)}: no container listens on port {port.get('port')}"
