"""Models named by their place on the Hugging Face hub, always at one pinned commit."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from fairness_core.errors import ModelError

__all__ = ["fetch", "is_hub_id", "is_pinned"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+@.*")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Configurations, vocabularies, safetensors under their standard names and, at the top, where a face
# detector's pack has them, ONNX files: never pickles, other precisions, exports of single parts, or
# the single file that some repositories keep beside the folders.
WANTED = [
    "*.json",
    "*.txt",
    "*.model",
    "model*.safetensors",
    "*/model*.safetensors",
    "*/diffusion_pytorch_model*.safetensors",
    "*.onnx",
]
UNWANTED = [
    "*/*.onnx",
    "*.fp16*",
    "*.bf16*",
    "*non_ema*",
    "safety_checker/*",
    "image_encoder/*",
]


def is_hub_id(name: str) -> bool:
    """Whether the name has the form ``ORG/NAME@REVISION``, whatever the revision."""
    return HUB_ID.fullmatch(name) is not None


def is_pinned(name: str) -> bool:
    """Whether the revision of ``ORG/NAME@REVISION`` is a commit."""
    return COMMIT.fullmatch(name.partition("@")[2]) is not None


def fetch(name: str) -> Path:
    """Find a model in the hub's local cache, and fetch what is missing of it.

    Nothing is fetched while ``HF_HUB_OFFLINE`` is set.

    Args:
        name: ``ORG/NAME@REVISION``, the revision being the 40 hexadecimal digits of a commit: a
            branch or tag may point elsewhere tomorrow.

    Returns:
        The commit's folder in the cache.

    Raises:
        ModelError: The revision is no commit, or the model can be neither found nor fetched.
    """
    repository, _, revision = name.partition("@")
    if not is_pinned(name):
        raise ModelError(
            "A model of the hub needs a pinned revision, the 40 hexadecimal digits of a commit",
            given=name,
            do="write ORG/NAME@REVISION, or give a local folder",
        )
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=WANTED, ignore_patterns=UNWANTED
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"The hub's model is not in the cache and could not be fetched "
            f"({type(error).__name__}: {str(error).strip().splitlines()[0][:300]})",
            given=name,
            do="check its name, your access to it and the connection, and that HF_HUB_OFFLINE is "
            "not set; or give a local folder",
        ) from error
    return Path(folder)
