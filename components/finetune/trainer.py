"""The five calls that a training on several nodes makes of a cluster's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fairness_core.errors import EvenhandError

__all__ = ["CALLS", "CONTAINER", "GROUP", "VERSION", "ClusterError", "Trainer"]

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
CONTAINER = "node"  # of the runtime's pods
SECONDS = 30  # for one request
# Group, resource, verb; infra/kubernetes grants these and no others to the account of runs.
CALLS = (
    (GROUP, PLURAL, "create"),
    (GROUP, PLURAL, "get"),
    (GROUP, PLURAL, "delete"),
    ("", "pods", "list"),
    ("", "pods/log", "get"),
)


class ClusterError(EvenhandError):
    """The cluster refused a request, or a training in it failed."""


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
