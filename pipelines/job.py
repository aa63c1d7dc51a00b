"""What is sent to a Kubeflow server, and what comes back, in our own terms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Job", "Started", "TaskState", "config", "lines", "named", "spec", "task_state"]


@dataclass(frozen=True)
class Job:
    """What is to run.

    Attributes:
        name: Of the run; a few random digits are added, by which it is found again.
        experiment: Of kfp: a heading over runs.
        documents: The compiled pipeline, from `pipelines.lint.read_compiled`.
        arguments: Its parameters.
        tags: Where it comes from; kept in the run's description, one ``key: value`` a line.
        service_account: Of its pods; empty: the server's default.
        pipeline_root: Object-store folder of its artifacts; empty: the server's default.
    """

    name: str
    experiment: str
    documents: Sequence[Mapping[str, Any]]
    arguments: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    pipeline_root: str = ""


@dataclass(frozen=True)
class Started:
    """A run, or a schedule, that the server has."""

    id: str
    name: str
    link: str


@dataclass(frozen=True)
class TaskState:
    """One task of a run: its name, state, pod, and what it said when it failed."""

    name: str
    state: str
    pod: str
    error: str


def named(name: str) -> str:
    """The server's filter for things of that very name."""
    predicate = {"operation": "EQUALS", "key": "name", "string_value": name}
    return json.dumps({"predicates": [predicate]})


def spec(job: Job) -> dict[str, Any]:
    """The pipeline as the server takes it: with the platform's settings, if there are any."""
    if len(job.documents) == 1:
        return dict(job.documents[0])
    return {"pipeline_spec": job.documents[0], "platform_spec": job.documents[1]}


def config(job: Job) -> Any:
    """Parameters and artifact folder of a run, as the server takes them."""
    from kfp_server_api import V2beta1RuntimeConfig

    return V2beta1RuntimeConfig(
        parameters=dict(job.arguments), pipeline_root=job.pipeline_root or None
    )


def lines(tags: Mapping[str, str]) -> str:
    """A run's description: one tag a line."""
    return "\n".join(f"{key}: {value}" for key, value in tags.items())


def task_state(detail: Any) -> TaskState:
    """One task of the server's answer."""
    pods = [child.pod_name for child in detail.child_tasks or [] if child.pod_name]
    message = detail.error.message if detail.error else ""
    return TaskState(
        detail.display_name or detail.task_id or "",
        str(detail.state or "PENDING"),
        detail.pod_name or (pods[-1] if pods else ""),
        " ".join((message or "").split()),
    )
