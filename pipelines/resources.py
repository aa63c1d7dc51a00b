"""Where each step runs and what it gets: one profile for pools without GPUs, one with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp import kubernetes

from fairness_core.errors import ConfigError

__all__ = ["PROFILES", "Cluster", "Images", "Placement", "Resources"]

USER = 10001
WORKSPACE = "/workspace"
# Variables of every task where there is a lasting volume.
LASTING = {
    "EVENHAND_CHECKPOINTS": f"{WORKSPACE}/checkpoints",
    "EVENHAND_ORIGINALS": f"{WORKSPACE}/originals",
}
GPU = "nvidia.com/gpu"
HOUR = 3600


@dataclass(frozen=True)
class Resources:
    """What one step asks for.

    Attributes:
        cpu: CPU cores, requested and at most.
        memory: Kubernetes quantity, requested and at most.
        gpus: GPUs; 0 puts the step on the pool without.
        shared: Size of the memory-backed /dev/shm, part of ``memory``; empty: the pod's own 64 Mi.
        seconds: Time after which the pod is ended.
        retries: Further attempts after a failure or a preemption.
        pure: Whether its outputs follow from its inputs alone, so that they may be reused.
    """

    cpu: str
    memory: str
    gpus: int = 0
    shared: str = ""
    seconds: int = HOUR
    retries: int = 2
    pure: bool = True


SMALL = Resources("1", "2Gi")
# Report and gate hold a date; the gate registers, and a second try serves a lost server alone; the
# exit handler is asked for its deed.
COMMON = {
    "generate_prompts": SMALL,
    "publish": SMALL,
    "merge_images": Resources("1", "2Gi"),
    "report": Resources("1", "4Gi", pure=False),
    "gate": Resources("1", "2Gi", retries=1, pure=False),
    "finish": Resources("500m", "1Gi", seconds=600, pure=False),
}
PROFILES: Mapping[str, Mapping[str, Resources]] = {
    "cpu": COMMON
    | {
        "calibrate_classifier": Resources("2", "6Gi", shared="1Gi", seconds=2 * HOUR),
        "build_bank": Resources("2", "4Gi", shared="1Gi", seconds=2 * HOUR),
        "finetune": Resources("2", "8Gi", shared="1Gi", seconds=6 * HOUR, retries=5),
        "generate_images": Resources("2", "4Gi", shared="1Gi", seconds=2 * HOUR, retries=4),
        "generate_baselines": Resources("2", "4Gi", shared="1Gi", seconds=4 * HOUR, retries=4),
        "evaluate_bias": Resources("2", "6Gi", shared="1Gi", seconds=2 * HOUR),
    },
    "gpu": COMMON
    | {
        "calibrate_classifier": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
        "build_bank": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
        "finetune": Resources("8", "64Gi", 1, "16Gi", 72 * HOUR, retries=10),
        "generate_images": Resources("8", "32Gi", 1, "8Gi", 12 * HOUR, retries=6),
        "generate_baselines": Resources("8", "32Gi", 1, "8Gi", 24 * HOUR, retries=6),
        "evaluate_bias": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
    },
}


@dataclass(frozen=True)
class Images:
    """Image of the steps without a GPU, and of those with one, each NAME@sha256:DIGEST."""

    cpu: str
    gpu: str


@dataclass(frozen=True)
class Cluster:
    """Names of what infra/kubernetes sets up.

    Attributes:
        claim: PersistentVolumeClaim of the workspace, where checkpoints outlive a pod; empty: none.
        secret: Secret with credentials of MLflow and of the object store.
        queue: Kueue's local queue; empty: none.
        gpu_type: Value of the label that names a node's GPU; empty: any.
        gpu_label: That label.
        environment: Further variables of every task.
    """

    claim: str = "evenhand-workspace"
    secret: str = "evenhand-credentials"
    queue: str = "evenhand"
    gpu_type: str = ""
    gpu_label: str = "nvidia.com/gpu.product"
    environment: Mapping[str, str] = field(default_factory=dict)


# Keys of the Secret and the variables they become. MLflow's own, and those of any S3 client.
SECRET_KEYS = {
    "mlflow-tracking-uri": "MLFLOW_TRACKING_URI",
    "mlflow-tracking-username": "MLFLOW_TRACKING_USERNAME",
    "mlflow-tracking-password": "MLFLOW_TRACKING_PASSWORD",
    "s3-endpoint-url": "MLFLOW_S3_ENDPOINT_URL",
    "aws-access-key-id": "AWS_ACCESS_KEY_ID",
    "aws-secret-access-key": "AWS_SECRET_ACCESS_KEY",
}
POOL = "evenhand.dev/pool"
# Taints of preemptible nodes: our own, Google's and Karpenter's way of naming them.
SPOT = (POOL, "cloud.google.com/gke-spot", "karpenter.sh/capacity-type")


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
    """

    profile: str
    images: Images
    cluster: Cluster = field(default_factory=Cluster)
    retries: int | None = None
    wait: int = 30

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ConfigError(
                "There is no such profile",
                given=self.profile,
                do=f"choose among {', '.join(PROFILES)}",
            )

    def apply(self, task: Any, step: str, title: str) -> Any:
        """Place one task.

        Args:
            task: Of kfp.
            step: Its name in the profile.
            title: Shown on the run's page.

        Returns:
            The same task.
        """
        needs = PROFILES[self.profile][step]
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
        lasting = LASTING if self.cluster.claim else {}
        for name, value in sorted((lasting | dict(self.cluster.environment)).items()):
            task.set_env_variable(name, value)
        self._secure(task, needs)
        self._place(task, needs)
        return task

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
        cluster = self.cluster
        if cluster.queue:
            kubernetes.add_pod_label(task, "kueue.x-k8s.io/queue-name", cluster.queue)
        for key in SPOT:
            kubernetes.add_toleration(task, key=key, operator="Exists", effect="NoSchedule")
        if not needs.gpus:
            return
        task.set_accelerator_type(GPU).set_accelerator_limit(needs.gpus)
        kubernetes.add_node_selector(task, POOL, "gpu")
        if cluster.gpu_type:
            kubernetes.add_node_selector(task, cluster.gpu_label, cluster.gpu_type)
        kubernetes.add_toleration(task, key=GPU, operator="Exists", effect="NoSchedule")
