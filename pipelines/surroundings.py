"""What a run finds in a cluster: images, and the names of what infra/kubernetes sets up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fairness_core.errors import ConfigError

__all__ = ["SECRET_KEYS", "Cluster", "Images"]


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
        gpu_label: That label. GPUs' own operator sets the default one on nodes that run; a pool
            that starts from nothing is known by its provider's label alone.
        capacity: ``spot`` or ``on-demand`` nodes for GPU steps; empty: either.
        checkpoints: Folder in an object store (``s3://…``, ``gs://…``) that checkpoints are kept
            in; empty: in the claim.
        environment: Further variables of every task.
    """

    claim: str = "evenhand-workspace"
    secret: str = "evenhand-credentials"
    queue: str = "evenhand"
    gpu_type: str = ""
    gpu_label: str = "nvidia.com/gpu.product"
    capacity: str = ""
    checkpoints: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_store(self.checkpoints)
        if self.capacity not in ("", "spot", "on-demand"):
            raise ConfigError(
                "Capacity is spot or on-demand", given=self.capacity, do="or leave it out"
            )


# Keys of the Secret and the variables they become. MLflow's own, and those of any S3 client.
SECRET_KEYS = {
    "mlflow-tracking-uri": "MLFLOW_TRACKING_URI",
    "mlflow-tracking-username": "MLFLOW_TRACKING_USERNAME",
    "mlflow-tracking-password": "MLFLOW_TRACKING_PASSWORD",
    "s3-endpoint-url": "MLFLOW_S3_ENDPOINT_URL",
    "aws-access-key-id": "AWS_ACCESS_KEY_ID",
    "aws-secret-access-key": "AWS_SECRET_ACCESS_KEY",
}


def _check_store(uri: str) -> None:
    """Refuse a place for checkpoints that no pod could open, or that ends with its pod.

    Args:
        uri: ``s3://bucket/folder`` or ``gs://bucket/folder``; empty: none is given.

    Raises:
        ConfigError: Another scheme, no bucket, or a bucket without a folder.
    """
    # A run that has ended empties the folder, so it may not be a whole bucket.
    if uri and not re.fullmatch(r"(s3|gs)://[^/\s]+/+[^/\s][^\s]*", uri):
        raise ConfigError(
            "This is no folder of an object store",
            given=uri,
            do="write s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, or leave --checkpoints out",
        )
