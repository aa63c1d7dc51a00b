"""Where each step runs and what it gets: image, size, pool, queue, storage, secrets, user."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from kfp import kubernetes

from fairness_core.errors import ConfigError
from pipelines.places import CAPACITY, GPU, PART_OF, POOL, QUEUE, STEP, TRAINER, tolerations
from pipelines.sizes import PROFILES, Resources
from pipelines.surroundings import SECRET_KEYS, Cluster, Images

__all__ = ["PROFILES", "Cluster", "Images", "Placement", "Resources", "lasting"]

USER = 10001
WORKSPACE = "/workspace"
CHECKPOINTS = "EVENHAND_CHECKPOINTS"
# The one step that shares its work between processes, and what it reads to know of them.
SHARED_STEP = "finetune"
PROCESSES, PLAN = "EVENHAND_PROCESSES", "EVENHAND_TRAINJOB"
# What follows a training elsewhere computes nothing itself.
FOLLOWER = Resources("500m", "2Gi")
POD = {
    "EVENHAND_NAMESPACE": "metadata.namespace",
    "EVENHAND_POD_NAME": "metadata.name",
    "EVENHAND_POD_UID": "metadata.uid",
    "EVENHAND_RUN": "metadata.labels['pipeline/runid']",
}


def lasting(workspace: str) -> dict[str, str]:
    """Variables that name what outlives a task, by a folder that does."""
    return {
        CHECKPOINTS: f"{workspace}/checkpoints",
        "EVENHAND_ORIGINALS": f"{workspace}/originals",
    }


@dataclass(frozen=True)
class Placement:
    """Gives every task image, resources, place and safety; all are constants when compiled.

    Values given by pipeline parameters inside loops and exit handlers are compiled to
    placeholders that nothing fills (``pipelines.lint`` finds them).

    Attributes:
        profile: Key of `PROFILES`.
        images: Of the steps.
        cluster: Names of what the cluster has.
        retries: Further attempts of every task; None: as many as the profile says.
        wait: Seconds before the first of them; each further one waits twice as long.
        gpus: GPUs of one training pod, a process for each; 0: as many as the profile says.
        nodes: Pods that train together; from 2 on a TrainJob of Kubeflow's Trainer.
    """

    profile: str
    images: Images
    cluster: Cluster = field(default_factory=Cluster)
    retries: int | None = None
    wait: int = 30
    gpus: int = 0
    nodes: int = 1

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ConfigError(
                "There is no such profile",
                given=self.profile,
                do=f"choose among {', '.join(PROFILES)}",
            )
        if self.gpus and not PROFILES[self.profile][SHARED_STEP].gpus:
            raise ConfigError("This profile has no GPUs", given=self.profile, do="use profile gpu")
        kind = self.cluster.gpu_type or self.cluster.capacity
        if kind and not PROFILES[self.profile][SHARED_STEP].gpus:
            raise ConfigError(
                f"Profile {self.profile} has no GPU nodes to choose among",
                given=kind,
                do="leave out --gpu-type and --capacity, or use profile gpu",
            )
        if self.nodes > 1 and not self.cluster.claim:
            raise ConfigError(
                "Pods that train together share a PersistentVolumeClaim, and there is none",
                do="name one, or train in one pod",
            )

    def needs(self, step: str) -> Resources:
        """What a step asks for, the processes of the training included."""
        size = PROFILES[self.profile][step]
        if step == SHARED_STEP and self.gpus > 1:
            return size.times(self.gpus)
        return size

    def apply(self, task: Any, step: str, title: str) -> Any:
        """Place one task.

        Args:
            task: Of kfp.
            step: Its name in the profile.
            title: Shown on the run's page.

        Returns:
            The same task.
        """
        needs, elsewhere = self.needs(step), step == SHARED_STEP and self.nodes > 1
        if elsewhere:
            needs = dataclasses.replace(FOLLOWER, seconds=needs.seconds, retries=needs.retries)
        task.set_container_image(self.images.gpu if needs.gpus else self.images.cpu)
        task.set_display_name(title)
        task.set_caching_options(enable_caching=needs.pure)
        task.set_cpu_request(needs.cpu).set_cpu_limit(needs.cpu)
        task.set_memory_request(needs.memory).set_memory_limit(needs.memory)
        task.set_retry(
            num_retries=needs.retries if self.retries is None else self.retries,
            backoff_duration=f"{self.wait}s",
            backoff_factor=2.0,
            backoff_max_duration="600s",
        )
        for name, value in sorted(self._variables(step).items()):
            task.set_env_variable(name, value)
        for name, path in POD.items() if elsewhere else ():
            kubernetes.use_field_path_as_env(task, name, path)
        for label, value in {**PART_OF, STEP: step}.items():
            kubernetes.add_pod_label(task, label, value)
        self._secure(task, needs)
        self._place(task, needs)
        return task

    def _variables(self, step: str) -> dict[str, str]:
        found = dict(self.cluster.environment)
        if self.cluster.claim:
            found |= lasting(WORKSPACE)
        if self.cluster.checkpoints:
            found[CHECKPOINTS] = self.cluster.checkpoints
        if step == SHARED_STEP and self.nodes > 1:
            found[PLAN] = json.dumps(self._plan(), sort_keys=True)
        elif step == SHARED_STEP and self.needs(step).gpus > 1:
            found[PROCESSES] = str(self.needs(step).gpus)
        return found

    def _plan(self) -> dict[str, Any]:
        """What the step that follows a training puts into its TrainJob."""
        needs, cluster = self.needs(SHARED_STEP), self.cluster
        return {
            "nodes": self.nodes,
            "image": self.images.gpu if needs.gpus else self.images.cpu,
            "cpu": needs.cpu,
            "memory": needs.memory,
            "gpus": needs.gpus,
            "shared": needs.shared,
            "seconds": needs.seconds,
            "claim": cluster.claim,
            "workspace": WORKSPACE,
            "user": USER,
            "secret": cluster.secret,
            "secret_keys": SECRET_KEYS,
            "account": "evenhand-trainers",
            "job_labels": {QUEUE: cluster.queue} if cluster.queue else {},
            "pod_labels": {**PART_OF, **TRAINER, STEP: SHARED_STEP},
            "node_selector": self._nodes(needs),
            "tolerations": tolerations(gpu=bool(needs.gpus)),
        }

    def _secure(self, task: Any, needs: Resources) -> None:
        cluster = self.cluster
        kubernetes.set_security_context(
            task, run_as_user=USER, run_as_group=USER, run_as_non_root=True
        )
        kubernetes.set_timeout(task, needs.seconds)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        kubernetes.use_secret_as_env(task, cluster.secret, SECRET_KEYS, optional=True)
        if cluster.claim:
            kubernetes.mount_pvc(task, cluster.claim, WORKSPACE)
        if needs.shared:
            kubernetes.empty_dir_mount(
                task, "shm", "/dev/shm", medium="Memory", size_limit=needs.shared
            )

    def _place(self, task: Any, needs: Resources) -> None:
        if self.cluster.queue:
            kubernetes.add_pod_label(task, QUEUE, self.cluster.queue)
        for one in tolerations(gpu=bool(needs.gpus)):
            kubernetes.add_toleration(task, **one)
        if needs.gpus:
            task.set_accelerator_type(GPU).set_accelerator_limit(needs.gpus)
        for label, value in self._nodes(needs).items():
            kubernetes.add_node_selector(task, label, value)

    def _nodes(self, needs: Resources) -> dict[str, str]:
        """Labels of the nodes that a step with this size runs on."""
        if not needs.gpus:
            return {}
        cluster = self.cluster
        kind = {cluster.gpu_label: cluster.gpu_type} if cluster.gpu_type else {}
        capacity = {CAPACITY: cluster.capacity} if cluster.capacity else {}
        return {POOL: "gpu", **capacity, **kind}
