"""Queues, quotas and pools of nodes: what they name exists, and our steps fit into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.manifests.objects import Object, Objects, selects, title
from pipelines.places import GPU, POOL, tolerated
from pipelines.sizes import PROFILES, Resources, quantity

__all__ = ["pools", "queues", "storage"]


def queues(objects: Objects) -> Iterator[str]:
    """Queues of flavors that are not there, of namespaces not taken, too small for a step."""
    flavors = {one["metadata"]["name"]: one for one in objects.of("ResourceFlavor")}
    used = set()
    for one in objects.of("ClusterQueue"):
        for group in one["spec"]["resourceGroups"]:
            for flavor in group["flavors"]:
                used.add(flavor["name"])
                if flavor["name"] not in flavors:
                    yield f"{title(one)}: there is no ResourceFlavor '{flavor['name']}'"
                # Kueue wants them all, in the same order.
                if [r["name"] for r in flavor["resources"]] != group["coveredResources"]:
                    yield f"{title(one)}: flavor '{flavor['name']}' has not its group's resources"
        yield from (f"{title(one)}: {problem}" for problem in _too_small(one))
    yield from (f"ResourceFlavor {name}: no queue uses it" for name in sorted(set(flavors) - used))
    for one in objects.of("LocalQueue"):
        queue = objects.get("ClusterQueue", one["spec"]["clusterQueue"])
        if queue is None:
            yield f"{title(one)}: there is no ClusterQueue '{one['spec']['clusterQueue']}'"
            continue
        namespace = objects.namespaces.get(one["metadata"]["namespace"])
        labels = namespace["metadata"].get("labels", {}) if namespace else {}
        selector = queue["spec"].get("namespaceSelector")
        if selector is None or not selects(selector, labels):
            yield f"{title(one)}: its ClusterQueue takes nothing from this namespace"


def _too_small(queue: Object) -> Iterator[str]:
    """The largest step of the profile that a queue is for must fit into one of its flavors."""
    flavors = [
        {resource["name"]: quantity(resource["nominalQuota"]) for resource in flavor["resources"]}
        for group in queue["spec"]["resourceGroups"]
        for flavor in group["flavors"]
    ]
    profile = "gpu" if any(flavor.get(GPU) for flavor in flavors) else "cpu"
    for step, needs in PROFILES[profile].items():
        if not any(_fits(needs, flavor) for flavor in flavors):
            yield f"step {step} of profile {profile} fits into none of its flavors"


def _fits(needs: Resources, quota: Mapping[str, float]) -> bool:
    wanted = {"cpu": quantity(needs.cpu), "memory": quantity(needs.memory), GPU: needs.gpus}
    return all(quota.get(name, 0) >= amount for name, amount in wanted.items())


def pools(objects: Objects) -> Iterator[str]:
    """Pools whose taints our steps do not tolerate, and flavors that no pool has the labels of."""
    found = list(_pools(objects))
    for name, labels, taints in found:
        if labels.get(POOL) != "gpu":
            yield f"{name}: its nodes have no label {POOL}=gpu, which GPU steps select"
        for taint in taints:
            if not tolerated(taint["key"], taint["effect"], gpu=True):
                yield f"{name}: no step tolerates its taint {taint['key']}"
        if not any(taint["key"] == GPU for taint in taints):
            yield f"{name}: without the taint {GPU} steps without a GPU would fill it"
    for one in objects.of("ResourceFlavor") if found else []:
        labels = one.get("spec", {}).get("nodeLabels", {})
        if labels and not any(labels.items() <= pool.items() for _, pool, _ in found):
            yield f"{title(one)}: no pool has its labels"
    for one in objects.of("NodePool"):
        reference = one["spec"]["template"]["spec"]["nodeClassRef"]
        if objects.get(reference["kind"], reference["name"]) is None:
            yield f"{title(one)}: there is no {reference['kind']} '{reference['name']}'"


def _pools(objects: Objects) -> Iterator[tuple[str, Mapping[str, str], list[Mapping[str, Any]]]]:
    """Name, labels of the nodes, and taints as Kubernetes writes them."""
    effects = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute",
               "PREFER_NO_SCHEDULE": "PreferNoSchedule"}  # fmt: skip
    for one in objects.of("NodePool"):
        template = one["spec"]["template"]
        labels = template.get("metadata", {}).get("labels", {})
        yield title(one), labels, template["spec"].get("taints", [])
    for one in objects.of("ContainerNodePool"):
        config = one["spec"].get("nodeConfig", {})
        taints: list[Mapping[str, Any]] = [
            {**taint, "effect": effects[taint["effect"]]} for taint in config.get("taint", [])
        ]
        yield title(one), config.get("labels", {}), taints


def storage(objects: Objects) -> Iterator[str]:
    """Claims that steps on several nodes could not share."""
    pooled = bool(list(_pools(objects)))
    for one in objects.of("PersistentVolumeClaim"):
        modes = one["spec"].get("accessModes", [])
        if pooled and "ReadWriteMany" not in modes:
            yield f"{title(one)}: pods on several nodes need ReadWriteMany, not {', '.join(modes)}"
        if pooled and not one["spec"].get("storageClassName"):
            yield f"{title(one)}: it names no storageClassName, and the default serves one node"
