"""A TrainJob of Kubeflow's Trainer: what it asks for, and the five calls that are made about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from fairness_core.errors import ConfigError, EvenhandError

__all__ = ["CALLS", "ClusterError", "Owner", "Plan", "Trainer", "manifest"]

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
RUNTIME = "torch-distributed"
# Group, resource, verb; infra/kubernetes grants these and no others to the account of runs.
CALLS = (
    (GROUP, PLURAL, "create"),
    (GROUP, PLURAL, "get"),
    (GROUP, PLURAL, "delete"),
    ("", "pods", "list"),
    ("", "pods/log", "get"),
)
PLAN = "EVENHAND_TRAINJOB"
# Of the runtime: its replicated job and the container in it.
JOB = CONTAINER = "node"
SECONDS = 30  # for one request
# What MLflow and the steps read that is no secret, and follows the training to its nodes.
PASSED_ON = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "EVENHAND_TRACKING")


class ClusterError(EvenhandError):
    """The cluster refused a request, or a training in it failed."""


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


class Trainer:
    """The cluster's API, as far as `CALLS` reach.

    Args:
        namespace: Where TrainJobs are made.
    """

    def __init__(self, namespace: str) -> None:
        from kubernetes import client, config

        self._namespace = namespace
        if client.Configuration.get_default_copy().host in ("", "http://localhost"):
            config.load_incluster_config()
        self._jobs, self._core = client.CustomObjectsApi(), client.CoreV1Api()
        self._place = (GROUP, VERSION, namespace, PLURAL)

    def create(self, body: Mapping[str, Any]) -> None:
        """Make a TrainJob."""
        with _translated("make the TrainJob"):
            self._jobs.create_namespaced_custom_object(
                *self._place, dict(body), _request_timeout=SECONDS
            )

    def conditions(self, name: str) -> dict[str, str] | None:
        """Message of each condition that holds, by its type; None: there is no such TrainJob."""
        with _translated("read the TrainJob"):
            try:
                found = self._jobs.get_namespaced_custom_object(
                    *self._place, name, _request_timeout=SECONDS
                )
            except Exception as error:
                if getattr(error, "status", None) == 404:
                    return None
                raise
        listed = (found.get("status") or {}).get("conditions") or []
        return {
            one["type"]: " ".join(str(one.get("message") or one.get("reason") or "").split())
            for one in listed
            if one.get("status") == "True"
        }

    def delete(self, name: str) -> None:
        """Remove a TrainJob, its pods first; one that is gone is no error."""
        with _translated("remove the TrainJob"):
            try:
                self._jobs.delete_namespaced_custom_object(
                    *self._place, name, propagation_policy="Foreground", _request_timeout=SECONDS
                )
            except Exception as error:
                if getattr(error, "status", None) != 404:
                    raise

    def pods(self, name: str) -> dict[int, str]:
        """Pods of a TrainJob that have begun, by the number of the node."""
        with _translated("list the pods of the TrainJob"):
            found = self._core.list_namespaced_pod(
                self._namespace,
                label_selector=f"jobset.sigs.k8s.io/jobset-name={name}",
                _request_timeout=SECONDS,
            )
        index = "batch.kubernetes.io/job-completion-index"
        return {
            int((pod.metadata.labels or {}).get(index, 0)): pod.metadata.name
            for pod in found.items
            if pod.status.phase in ("Running", "Succeeded", "Failed")
        }

    def log(self, pod: str, since: int | None) -> str:
        """What a pod has printed, each line after its time, RFC 3339 with nanoseconds."""
        with _translated(f"read the log of {pod}"):
            text: str = self._core.read_namespaced_pod_log(
                pod, self._namespace, container=CONTAINER, timestamps=True,
                since_seconds=since, _request_timeout=SECONDS,
            )  # fmt: skip
        return text or ""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Errors of the client as ours.

    Raises:
        ClusterError: Refused, not reached, or no answer.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        do = {
            401: "the pod's token is not taken: look at its service account",
            403: "submit with --service-account evenhand-runs, or grant that account the role "
            "evenhand-runs-trainjobs of infra/kubernetes",
            404: "install Kubeflow Trainer 2.2 or newer, or train with --nodes 1",
        }.get(error.status, "look at the cluster's events")
        said = " ".join(str(error.body or error.reason).split())[:300]
        raise ClusterError(f"Cannot {what}: status {error.status}. {said}", do=do) from error
    except (HTTPError, OSError) as error:
        raise ClusterError(f"Cannot {what}: {type(error).__name__}", do="try again") from error
