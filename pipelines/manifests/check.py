"""All checks together."""

from __future__ import annotations

from fairness_core.errors import ConfigError
from pipelines.manifests.access import calls, roles, secrets
from pipelines.manifests.network import policies
from pipelines.manifests.objects import Objects, title
from pipelines.manifests.queues import pools, queues, storage
from pipelines.manifests.structure import structure
from pipelines.manifests.workloads import containers, placeholders, selectors, volumes

__all__ = ["check", "problems"]

MEANING = (
    containers, volumes, selectors, roles, calls, secrets, policies, queues, pools, storage,
)  # fmt: skip
# Kinds that are in no namespace.
GLOBAL = (
    "Namespace", "ClusterRole", "ClusterRoleBinding", "StorageClass", "ResourceFlavor",
    "ClusterQueue", "NodePool", "EC2NodeClass", "PriorityClass",
)  # fmt: skip


def problems(objects: Objects, *, filled: bool = False) -> list[str]:
    """What is wrong with manifests, one line each.

    The meaning of objects is looked at only once their structure is sound.

    Args:
        objects: What would be applied together.
        filled: Also find values that are still to be filled in.
    """
    found = list(structure(objects))
    if not found:
        found += _places(objects)
        found += [line for rule in MEANING for line in rule(objects)]
    if filled:
        found += placeholders(objects)
    return found


def _places(objects: Objects) -> list[str]:
    lost = []
    for one in objects.all:
        namespace = one["metadata"].get("namespace")
        if one["kind"] in GLOBAL:
            continue
        if not namespace:
            lost.append(f"{title(one)}: it names no namespace")
        elif objects.namespaces and namespace not in objects.namespaces:
            lost.append(f"{title(one)}: its namespace is not among the manifests")
    return lost


def check(objects: Objects, *, filled: bool = False) -> None:
    """Refuse manifests that have any problem.

    Raises:
        ConfigError: One line for each problem.
    """
    found = problems(objects, filled=filled)
    if found:
        count = "a problem" if len(found) == 1 else f"{len(found)} problems"
        lines = "\n".join(f"  {line}" for line in found)
        raise ConfigError(f"The manifests have {count}\n{lines}")
