"""A TrainJob of Kubeflow's Trainer: what it asks for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from components.finetune.trainer import CONTAINER, GROUP, VERSION
from fairness_core.errors import ConfigError

__all__ = ["Owner", "Plan", "manifest"]

RUNTIME = "torch-distributed"
PLAN = "EVENHAND_TRAINJOB"
JOB = "node"  # the runtime's replicated job
# What MLflow and the steps read that is no secret, and follows the training to its nodes.
PASSED_ON = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "EVENHAND_TRACKING")


@dataclass(frozen=True)
class Plan:
    """What the training asks of the cluster; `pipelines.resources` writes it.

    Attributes:
        nodes: Pods, >= 2.
        image: Of each.
        cpu: Cores of each; ``memory`` and ``shared`` (/dev/shm) are quantities.
        memory: See ``cpu``.
        gpus: GPUs of each, a process for each; 0: one process without.
        shared: See ``cpu``.
        seconds: Time after which it is ended.
        claim: Volume that all share, mounted at ``workspace``.
        workspace: See ``claim``.
        user: Numeric user and group.
        secret: Secret of which ``secret_keys`` become variables.
        secret_keys: Key to variable.
        account: Service account of the pods.
        job_labels: Of the TrainJob, such as its queue.
        pod_labels: Of the pods, which network policies know them by.
        node_selector: Labels of the nodes.
        tolerations: Taints of the nodes.
    """

    nodes: int
    image: str
    cpu: str
    memory: str
    gpus: int
    shared: str
    seconds: int
    claim: str
    workspace: str
    user: int
    secret: str
    secret_keys: Mapping[str, str]
    account: str
    job_labels: Mapping[str, str]
    pod_labels: Mapping[str, str]
    node_selector: Mapping[str, str]
    tolerations: list[dict[str, str]]

    @classmethod
    def from_environment(cls) -> Plan | None:
        """The plan that the pod was given, or None.

        Raises:
            ConfigError: It was given something else.
        """
        text = os.environ.get(PLAN)
        if not text:
            return None
        try:
            values = json.loads(text)
            return cls(**{one.name: values[one.name] for one in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"The plan of a training is damaged: {error}", given=PLAN) from error


@dataclass(frozen=True)
class Owner:
    """The pod that follows a training, whose end is the training's end too.

    Attributes:
        namespace: Its namespace.
        pod: Its name.
        uid: Its id.
        run: Of the pipeline.
    """

    namespace: str
    pod: str
    uid: str
    run: str

    @classmethod
    def from_environment(cls) -> Owner:
        """This pod, by the variables that the pipeline sets.

        Raises:
            ConfigError: One is missing.
        """
        names = ("EVENHAND_NAMESPACE", "EVENHAND_POD_NAME", "EVENHAND_POD_UID", "EVENHAND_RUN")
        lost = [name for name in names if not os.environ.get(name)]
        if lost:
            raise ConfigError(
                "A training on several nodes is started from a pod of a pipeline",
                given=f"without {', '.join(lost)}",
                do="submit the pipeline to a cluster, or use torchrun here",
            )
        return cls(*(os.environ[name] for name in names))


def manifest(plan: Plan, owner: Owner, name: str, command: list[str]) -> dict[str, Any]:
    """The TrainJob: our image and command in the runtime's place, our volumes and nodes over it."""
    size = {"cpu": plan.cpu, "memory": plan.memory}
    gpus = {"nvidia.com/gpu": str(plan.gpus)} if plan.gpus else {}
    values = {one: os.environ[one] for one in PASSED_ON if os.environ.get(one)}
    secrets = [
        {
            "name": variable,
            "valueFrom": {"secretKeyRef": {"name": plan.secret, "key": key, "optional": True}},
        }
        for key, variable in plan.secret_keys.items()
    ]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {**plan.pod_labels, **plan.job_labels},
            # Whatever ends the pod, the training does not outlive it.
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": owner.pod, "uid": owner.uid}
            ],
        },
        "spec": {
            "runtimeRef": {
                "apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": RUNTIME,
            },
            "activeDeadlineSeconds": plan.seconds,
            "trainer": {
                "image": plan.image,
                "command": command,
                "numNodes": plan.nodes,
                "numProcPerNode": max(plan.gpus, 1),
                "resourcesPerNode": {"requests": size | gpus, "limits": size | gpus},
                "env": [{"name": key, "value": value} for key, value in values.items()] + secrets,
            },
            "runtimePatches": [
                {
                    "manager": "evenhand.dev/finetune",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [
                        {"name": JOB, "template": {"spec": {"template": _pod(plan)}}}
                    ]}}},
                }
            ],
        },
    }  # fmt: skip


def _pod(plan: Plan) -> dict[str, Any]:
    shared = {"medium": "Memory", **({"sizeLimit": plan.shared} if plan.shared else {})}
    return {
        "metadata": {"labels": dict(plan.pod_labels)},
        "spec": {
            "serviceAccountName": plan.account,
            "nodeSelector": dict(plan.node_selector),
            "tolerations": plan.tolerations,
            "securityContext": {
                "runAsUser": plan.user,
                "runAsGroup": plan.user,
                "fsGroup": plan.user,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [
                {"name": "workspace", "persistentVolumeClaim": {"claimName": plan.claim}},
                {"name": "shm", "emptyDir": shared},
                {"name": "tmp", "emptyDir": {}},
            ],
            "containers": [
                {
                    "name": CONTAINER,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "workspace", "mountPath": plan.workspace},
                        {"name": "shm", "mountPath": "/dev/shm"},
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                }
            ],
        },
    }
