"""Where a run comes from: commit, data and images; refused where that cannot be said."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

from fairness_core.errors import ConfigError
from pipelines.lint import PINNED
from pipelines.resources import Images

__all__ = ["check_images", "provenance"]

REVISION = "EVENHAND_REVISION"


def provenance(folder: Path, images: Images, *, dirty: bool) -> dict[str, str]:
    """Tags of a run.

    Args:
        folder: The checkout.
        images: Of the run, as they are: see `check_images`.
        dirty: Take a checkout with changes that are in no commit.

    Returns:
        ``git``, ``git.dirty`` where it is, ``data`` (SHA-256 of dvc.lock, which names every
        artifact by its hash), ``image.cpu`` and ``image.gpu``.

    Raises:
        ConfigError: No commit, or a dirty checkout.

    In an image, which holds no checkout, the commit is the one that the image was made of:
    ``EVENHAND_REVISION``.
    """
    made_of = os.environ.get(REVISION, "")
    if re.fullmatch("[0-9a-f]{40}", made_of):
        return {"git": made_of, "image.cpu": images.cpu, "image.gpu": images.gpu}
    tags = {"git": _git(folder, "rev-parse", "HEAD")}
    changes = _git(folder, "status", "--porcelain")
    if changes:
        if not dirty:
            raise ConfigError(
                "The checkout has changes that are in no commit",
                given=", ".join(line[3:] for line in changes.splitlines()[:5]),
                do="commit them, or give --allow-dirty",
            )
        tags["git.dirty"] = "true"
    lock = folder / "dvc.lock"
    if lock.is_file():
        tags["data"] = f"sha256:{hashlib.sha256(lock.read_bytes()).hexdigest()}"
    return tags | {"image.cpu": images.cpu, "image.gpu": images.gpu}


def check_images(images: Images, *, unpinned: bool) -> None:
    """Refuse images that are not named, or not by their digest.

    Args:
        images: Of the run.
        unpinned: Take names without a digest.

    Raises:
        ConfigError: The message names the option and the variable that give the image.
    """
    for role, image in (("cpu", images.cpu), ("gpu", images.gpu)):
        if not image or not (unpinned or PINNED.search(image)):
            by = f"--image-{role} or EVENHAND_IMAGE_{role.upper()}"
            raise ConfigError(
                f"The {role} image is not named" + (" by its digest" if image else ""),
                given=image or "nothing",
                do=f"give NAME@sha256:DIGEST by {by}"
                + (", or take it as it is by --allow-unpinned" if image else ""),
            )


def _git(folder: Path, *words: str) -> str:
    try:
        found = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git cannot be asked: {error}", given=folder) from error
    if found.returncode != 0:
        raise ConfigError(
            f"git does not know this folder: {' '.join(found.stderr.split())}",
            given=folder,
            do="submit from a checkout, so that the run can be traced to a commit",
        )
    return found.stdout.rstrip()
