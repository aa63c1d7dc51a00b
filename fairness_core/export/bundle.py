"""The published folder: LoRA weights as stock diffusers loads them, a manifest and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.utils import convert_state_dict_to_diffusers
from safetensors.torch import save_file
from torch import Tensor

from fairness_core.diffusion import DiffusionStack
from fairness_core.diffusion.adapters import TARGETS
from fairness_core.errors import ArtifactError, ModelError
from fairness_core.runtime.artifacts import atomic_folder, sha256_file, verify, write_manifest

__all__ = ["BUNDLE_KIND", "WEIGHTS_FILE", "load_bundle", "weights_sha256", "write_bundle"]

BUNDLE_KIND = "lora-bundle"
WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
CARD_FILE = "README.md"


def write_bundle(
    folder: str | Path,
    state: Mapping[str, Tensor],
    *,
    card: str,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the folder that ``load_lora_weights(folder)`` of the model's pipeline class loads.

    Rank and alpha (equal, so the scale is 1) go into the weights file's metadata as diffusers
    writes it; without them a reader would have to guess alpha.

    Args:
        folder: Written as a whole, replacing what is there.
        state: Adapter weights as ``diffusion.lora_state`` names them, live or EMA.
        card: The model card, Markdown.
        facts: What the manifest keeps beside the hashes: base model and its sha256, which weights
            these are, the training classifier's sha256, attributes and targets; JSON values.

    Returns:
        The manifest.

    Raises:
        ModelError: No adapter weights, a name that is neither a text encoder's nor the network's,
            or different ranks within one network.
    """
    parts = _parts(state)
    ranks = {part: _rank(part, weights) for part, weights in parts.items()}
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, Any] = {}
    for part, weights in parts.items():
        named = _published(part, weights)
        tensors |= {f"{part}.{name}": value.contiguous() for name, value in named.items()}
        settings = {
            "r": ranks[part],
            "lora_alpha": ranks[part],
            "target_modules": sorted(TARGETS[part]),
            "lora_dropout": 0.0,
            "bias": "none",
        }
        metadata |= {f"{part}.{key}": value for key, value in settings.items()}
    with atomic_folder(folder) as work:
        # One entry of metadata: safetensors writes several in an order that changes by process.
        save_file(
            dict(sorted(tensors.items())),
            work / WEIGHTS_FILE,
            metadata={"lora_adapter_metadata": json.dumps(metadata, sort_keys=True)},
        )
        (work / CARD_FILE).write_text(card, encoding="utf-8")
        return write_manifest(work, BUNDLE_KIND, rank=ranks, alpha=ranks, **facts)


def load_bundle(
    stack: DiffusionStack, folder: str | Path, *, base: str | None = None
) -> dict[str, Any]:
    """Load a bundle into the model through diffusers' own loader, frozen.

    Args:
        stack: Changed in place: its networks get the adapter.
        folder: From `write_bundle`.
        base: The model's `weights_sha256`; a bundle made for another one is refused. None: any.

    Returns:
        The bundle's manifest.

    Raises:
        ArtifactError: A file is missing or damaged, or the folder is no bundle.
        ModelError: The bundle belongs to another base model or does not fit this one.
    """
    manifest = verify(folder, kind=BUNDLE_KIND)
    trained_on = manifest["extra"].get("base_sha256")
    if base is not None and trained_on is not None and trained_on != base:
        raise ModelError(
            "The adapter was trained on another base model",
            given=f"trained on weights {trained_on}, this model has {base}",
            do="load the base model that the bundle's manifest names",
        )
    # diffusers passes over weights of parts that a pipeline does not have.
    foreign = sorted(manifest["extra"].get("rank", {}).keys() - stack.adaptable.keys())
    if foreign:
        raise ModelError(
            f"The adapter is for a {' and '.join(foreign)}, which the model does not have",
            given=folder,
            do="load the base model that the bundle's manifest names",
        )
    try:
        stack.pipeline().load_lora_weights(
            str(folder), weight_name=WEIGHTS_FILE, local_files_only=True
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The adapter does not fit the model ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="load the base model that the bundle's manifest names",
        ) from error
    for network in stack.adaptable.values():
        network.requires_grad_(False).eval()
    return manifest


def weights_sha256(folder: str | Path) -> str:
    """SHA-256 over the names and SHA-256 of every safetensors file below a model folder.

    Raises:
        ArtifactError: There is none.
    """
    folder = Path(folder)
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ArtifactError(
            "A model folder has no safetensors weights", given=folder, do="check the path"
        )
    lines = [f"{file.relative_to(folder).as_posix()} {sha256_file(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part not in TARGETS or not rest.endswith((".lora_A.weight", ".lora_B.weight")):
            raise ModelError(
                "A weight is no LoRA weight of a text encoder or the network", given=name
            )
        parts.setdefault(part, {})[rest] = value
    if not parts:
        raise ModelError("There are no adapter weights to publish", do="run finetune first")
    return parts


def _rank(part: str, weights: Mapping[str, Tensor]) -> int:
    ranks = {
        value.shape[0] if name.endswith(".lora_A.weight") else value.shape[1]
        for name, value in weights.items()
    }
    if len(ranks) != 1:
        raise ModelError(f"The adapter of the {part} has several ranks", given=sorted(ranks))
    return int(ranks.pop())


def _published(part: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names that released loaders know; a text encoder's as before transformers 5 too."""
    if not part.startswith("text_encoder"):
        return dict(weights)
    older = {
        name if name.startswith("text_model.") else f"text_model.{name}": value
        for name, value in weights.items()
    }
    return dict(convert_state_dict_to_diffusers(older))
