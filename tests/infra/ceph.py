"""An S3 server as clusters have it: Ceph's object gateway over one monitor, one store in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import listens, free_port, running, wait_for

__all__ = ["gateway"]

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw")
SETTINGS = """\
[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon data = {folder}/mon
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


@contextlib.contextmanager
def gateway(folder: Path, user: dict[str, str]) -> Iterator[str]:
    """A gateway with one user; gives its address.

    Args:
        folder: Short and empty, for its files; sockets lie in it.
        user: ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` that it is to know.
    """
    if any(shutil.which(program) is None for program in PROGRAMS):
        pytest.skip("Ceph is not installed: make integration does it")
    port = free_port()
    monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
    fsid = str(uuid.uuid4())
    settings = folder / "ceph.conf"
    settings.write_text(SETTINGS.format(fsid=fsid, monitor=monitor, folder=folder, port=port))
    environment = os.environ | {"CEPH_CONF": str(settings)}
    environment.pop("PYTHONPATH", None)

    def call(*words: str) -> str:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def daemon(program: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [program, "-f", *words]
        with (
            (folder / f"{program}.out").open("wb") as out,
            running(command, stdout=out, stderr=out, cwd=folder, env=environment) as process,
        ):
            yield process

    everything = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
    call("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", *everything)
    call("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", *everything)
    call("monmaptool", "--create", "--addv", "a", monitor, "--fsid", fsid, "monmap")
    call("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
    with contextlib.ExitStack() as stack:
        stack.enter_context(daemon("ceph-mon", "-i", "a"))
        call("ceph", "--connect-timeout", "60", "status")
        own = str(uuid.uuid4())
        call("ceph", "osd", "new", own)
        (folder / "osd").mkdir()
        for name, *rights in (
            ("osd.0", "mon", "allow profile osd", "osd", "allow *"),
            ("client.gateway", "mon", "allow rw", "osd", "allow rwx"),
        ):
            call("ceph", "auth", "get-or-create", name, *rights, "-o", f"{name}.keyring")
            call("ceph-authtool", "keyring", "--import-keyring", f"{name}.keyring")
        call("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", own)
        stack.enter_context(daemon("ceph-osd", "-i", "0"))
        server = stack.enter_context(daemon("radosgw", "-n", "client.gateway"))
        wait_for(lambda: listens(port), server, folder / "client.gateway.log")
        call(
            "radosgw-admin", "-n", "client.gateway", "user", "create", "--uid=evenhand",
            "--display-name=evenhand", f"--access-key={user['AWS_ACCESS_KEY_ID']}",
            f"--secret-key={user['AWS_SECRET_ACCESS_KEY']}",
        )  # fmt: skip
        yield f"http://127.0.0.1:{port}"
