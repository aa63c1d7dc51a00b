"""Names by which our pods are known in a cluster, and the nodes they may run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.sizes import PROFILES

__all__ = ["CAPACITY", "GPU", "PART_OF", "POOL", "QUEUE", "STEP", "TRAINER", "run_pods",
           "tolerated", "tolerations"]  # fmt: skip

GPU = "nvidia.com/gpu"
POOL = "evenhand.dev/pool"
CAPACITY = "evenhand.dev/capacity"
QUEUE = "kueue.x-k8s.io/queue-name"
# Network policies and alerts know the pods of runs by these.
PART_OF = {"app.kubernetes.io/part-of": "evenhand"}
STEP = "evenhand.dev/step"
TRAINER = {"evenhand.dev/role": "trainer"}
# Taints of preemptible nodes: our own, Google's and Karpenter's way of naming them.
SPOT = (POOL, "cloud.google.com/gke-spot", "karpenter.sh/capacity-type")


def tolerations(*, gpu: bool) -> list[dict[str, str]]:
    """Taints that a step tolerates: of preemptible nodes, and of GPU nodes where it has one."""
    keys = (*SPOT, GPU) if gpu else SPOT
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def tolerated(key: str, effect: str, *, gpu: bool) -> bool:
    """Whether steps run on nodes with this taint."""
    if effect == "PreferNoSchedule":
        return True
    return any(one["key"] == key and one["effect"] == effect for one in tolerations(gpu=gpu))


def run_pods() -> Iterator[Mapping[str, str]]:
    """Labels of the pods that runs make: one of each step, and the nodes of a training."""
    for step in PROFILES["gpu"]:
        yield {**PART_OF, STEP: step}
    yield {**PART_OF, **TRAINER, STEP: "finetune"}
