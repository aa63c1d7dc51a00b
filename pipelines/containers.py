"""What kfp's Docker runner leaves out: a safe container, its memory's limit, and why it ended."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError
from pipelines.resources import USER, WORKSPACE, lasting

__all__ = ["Containers", "Ended", "explain", "noted", "task_of"]

LABEL = "evenhand.run"
KILLED = 128 + 9
SCRATCH = {"/tmp": "rw,nosuid,nodev,size=2g,mode=1777"}


@dataclass(frozen=True)
class Ended:
    """A container that has ended: its task, its status, and whether it ran out of memory."""

    task: str
    status: int
    memory: bool


@dataclass(frozen=True)
class Containers:
    """How tasks run in containers.

    Attributes:
        image: Of all of them.
        user: UID:GID inside; empty: this process's own, which owns what kfp prepares, or, where
            that is root, the images' own user.
        memory: Limit of each container, as Docker writes it (``4g``); empty: none.
        network: Docker's network mode.
        label: Tells this run's containers from others.
    """

    image: str
    user: str = ""
    memory: str = ""
    network: str = "none"
    label: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def owner(self) -> str:
        """UID:GID of the processes inside."""
        here = os.getuid()
        return self.user or (f"{here}:{os.getgid()}" if here else f"{USER}:{USER}")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every task: what lasts lies where it lies on a cluster."""
        return lasting(WORKSPACE)

    def prepare(self, *folders: Path) -> None:
        """Make folders that the containers' user writes to."""
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if os.getuid() == 0:
                uid, _, gid = self.owner.partition(":")
                os.chown(folder, int(uid), int(gid or uid))

    def runner(self, workspace: Path) -> Any:
        """Kfp's runner, its containers as safe as the cluster's.

        Args:
            workspace: Folder that outlives the containers.
        """
        from kfp import local

        docker = _docker()
        limit = {"mem_limit": self.memory, "memswap_limit": self.memory} if self.memory else {}
        return local.DockerRunner(
            user=self.owner,
            network_mode=self.network,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            tmpfs=SCRATCH,
            labels={LABEL: self.label},
            mounts=[docker.types.Mount(WORKSPACE, str(workspace), type="bind")],
            **limit,
        )

    def image_id(self) -> str:
        """What the image's name stands for here; it is pulled where it is missing.

        Raises:
            ConfigError: Docker does not answer, or there is no such image.
        """
        docker = _docker()
        with closing(_client(docker)) as client:
            try:
                found = client.images.get(self.image)
            except docker.errors.ImageNotFound:
                try:
                    found = client.images.pull(self.image)
                except docker.errors.APIError as error:
                    raise ConfigError(
                        f"There is no such image: {error.explanation}",
                        given=self.image,
                        do="build it (infra/images/README.md), or give another --image",
                    ) from error
            return str(found.id)


@contextmanager
def noted() -> Iterator[list[Ended]]:
    """Let kfp start its containers our way while a block lasts, and note how each of them ended.

    kfp has Docker remove a container the moment it ends, and takes one that is gone before its
    status was read for a success (kubeflow/pipelines#13332). Here it is read, then removed, also
    when the block is interrupted.

    Yields:
        Containers that have ended, in order; it grows.
    """
    from kfp.local import docker_task_handler as handler

    ended: list[Ended] = []

    def run(client: Any, image: str, command: Sequence[str], volumes: Any, **options: Any) -> int:
        container = client.containers.run(
            image=image, command=command, volumes=volumes, detach=True, **options
        )
        try:
            for part in container.logs(stream=True):
                sys.stdout.write(part.decode(errors="replace"))
            status = int(container.wait()["StatusCode"])
            container.reload()
            ended.append(Ended(task_of(command), status, container.attrs["State"]["OOMKilled"]))
            return status
        finally:
            container.remove(force=True)

    before = handler.run_docker_container
    handler.run_docker_container = run
    try:
        yield ended
    finally:
        handler.run_docker_container = before


def task_of(command: Sequence[str]) -> str:
    """Name of the task that a container's command runs, by the folder of its record."""
    for word in command:
        if word.startswith("{"):
            try:
                record = Path(json.loads(word)["outputs"]["outputFile"])
            except (ValueError, KeyError, TypeError):
                continue
            return record.parent.name
    return "a task"


def explain(ended: Sequence[Ended], memory: str = "") -> list[str]:
    """Why tasks ended that did not end well, a line for each attempt.

    Args:
        ended: In order.
        memory: The limit that containers had.
    """
    lines = []
    for one in ended:
        if one.memory:
            limit = f"its limit is {memory}" if memory else "the machine's memory is full"
            lines.append(f"{one.task} ran out of memory ({limit})")
        elif one.status == KILLED:
            lines.append(f"{one.task} was killed from outside")
        elif one.status:
            lines.append(f"{one.task} ended with status {one.status}")
    return lines


def _docker() -> Any:
    try:
        import docker
        import docker.types
    except ImportError as error:
        raise ConfigError(
            "The Python package docker is not installed", do="pip install docker"
        ) from error
    return docker


def _client(docker: Any) -> Any:
    client = None
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        if client is not None:
            client.close()
        raise ConfigError(
            f"Docker does not answer: {error}",
            given=os.environ.get("DOCKER_HOST", "its own socket"),
            do="start it, set DOCKER_HOST, or use --runner subprocess",
        ) from error
    return client
