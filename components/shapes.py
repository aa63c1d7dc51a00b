"""Networks of a run by their shapes alone: from their folders, or as the published models are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.published import PHOTO, PUBLISHED
from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fairness_core.config import Params
    from fairness_core.training.dry_run import Cost, Networks

__all__ = ["adapt", "configuration", "costs", "faces_of", "missing", "network", "seen_side"]

INSIDE = ("unet", "vae", "text_encoder")


def configuration(models: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A network's own configuration; None where its folder is not there.

    Raises:
        ConfigError: The base model has no U-Net with one text encoder, or another no
            configuration.
    """
    from fairness_core.portraits.models import PREFIX, resolve
    from fairness_core.runtime.artifacts import read_json

    key = "base" if name in INSIDE else name
    if not models[key].startswith(PREFIX) and not Path(models[key]).is_dir():
        return None
    folder = resolve(models[key])
    place = folder / name if name in INSIDE else folder
    if name in INSIDE and not (place / "config.json").is_file():
        raise ConfigError(
            "A plan needs a pipeline with a U-Net and one text encoder",
            given=f"models.base: {folder}",
            do="plan with Stable Diffusion 1.x or 2.x",
        )
    found: dict[str, Any] = read_json(_configured(f"models.{key}", place) / "config.json")
    return found


def _configured(key: str, folder: Path) -> Path:
    """The folder, which has to say what its network is."""
    if not (folder / "config.json").is_file():
        raise ConfigError(
            "A model's folder has no config.json",
            given=f"{key}: {folder}",
            do="name a folder in the layout its library saves",
        )
    return folder


def missing(params: Params) -> list[str]:
    """Keys of the models whose folders are not there."""
    names = {"base": "unet", "image_text": "image_text", "image_self": "image_self"}
    models = params.section("models")
    found = [f"models.{key}" for key, name in names.items() if configuration(models, name) is None]
    if params.finetune.lambda_face > 0 and _embedder(params) is None:
        found.append("models.face_embedder (IResNet-50)")
    gone = (name for name, folder in _ready(params).items() if folder is None)
    return found + [f"calibrate_classifier.train_network.{name}" for name in gone]


def _ready(params: Params) -> dict[str, Path | None]:
    """Folders of ready classifiers by attribute, None where one is gone; empty: one is fitted."""
    given = params.section("calibrate_classifier")["train_network"]
    folders = given if isinstance(given, dict) else {}
    key = "calibrate_classifier.train_network"
    return {
        name: _configured(f"{key}.{name}", Path(place)) if Path(place).is_dir() else None
        for name, place in folders.items()
    }


def _embedder(params: Params) -> Path | None:
    """Where the realism loss's embedder lies; None where it is not there."""
    from fairness_core.portraits.models import PREFIX, resolve

    name = params.models.face_embedder
    return resolve(name) if name.startswith(PREFIX) or Path(name).exists() else None


def networks_of(params: Params, checkpointing: bool) -> Networks:
    """Networks of the models' configurations; of the published ones' where folders are missing."""
    from fairness_core.embeddings.image_text import drop_text
    from fairness_core.training.dry_run import Networks

    section, models = params.finetune, params.section("models")
    made: dict[str, Any] = {
        name: network(models, name, section.precision if name in INSIDE else "float32")
        for name in (*INSIDE, "image_text", "image_self")
    }
    if checkpointing:
        made["unet"].enable_gradient_checkpointing()
        made["vae"].enable_gradient_checkpointing()
    if section.train_unet:
        adapt(made["unet"], section.rank)
    clip, dino = made["image_text"], made["image_self"]
    drop_text(clip)
    faces = faces_of(params)
    return Networks(
        made["unet"],
        made["vae"],
        (
            (
                lambda x: clip.get_image_features(pixel_values=x).pooler_output,
                seen_side(models, "image_text"),
            ),
            (lambda x: dino(pixel_values=x).pooler_output, seen_side(models, "image_self")),
        ),
        tuple((look, side) for _, look, side in faces),
        (*made.values(), *(network for network, _, _ in faces)),
    )


def network(models: Mapping[str, Any], name: str, precision: str) -> Any:
    """One network of a model's configuration; of the published one where its folder is missing."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPModel, CLIPTextModel, Dinov2Model
    from transformers.initialization import no_init_weights

    from fairness_core.runtime import as_dtype

    cls: Any = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "image_text": CLIPModel,
        "image_self": Dinov2Model,
    }[name.removeprefix("audit_")]
    found = configuration(models, name) or PUBLISHED[name]
    # What is made without contents cannot be converted afterwards.
    with _as_default(as_dtype(precision)):
        if name in ("unet", "vae"):
            made = cls.from_config(found)
        else:
            with no_init_weights():
                made = cls(cls.config_class(**found))
    return made.eval().requires_grad_(False)


def seen_side(models: Mapping[str, Any], name: str) -> int:
    """Side of what an encoder sees, px: of its preprocessor, or the published ones'."""
    from fairness_core.model_folders import ImageInput
    from fairness_core.portraits.models import resolve

    there = configuration(models, name) is not None
    return ImageInput.read(resolve(models[name])).size if there else PHOTO


def faces_of(params: Params) -> list[tuple[Any, Callable[[Tensor], Tensor], int]]:
    """The classifier's networks, one or one for each attribute, and the realism loss's embedder."""
    from transformers import AutoConfig, AutoModelForImageClassification
    from transformers.initialization import no_init_weights

    from fairness_core.classifiers import untrained
    from fairness_core.embeddings import FACE_SIZE, untrained_face_embedder
    from fairness_core.model_folders import ImageInput

    def classified(network: Any, side: int) -> tuple[Any, Callable[[Tensor], Tensor], int]:
        network.eval().requires_grad_(False)
        return network, lambda x: network(pixel_values=x).logits, side

    def fitted(kind: str, side: int) -> tuple[Any, Callable[[Tensor], Tensor], int]:
        return classified(untrained(kind, params.attribute_space, side), side)

    def made(folder: Path | None) -> tuple[Any, Callable[[Tensor], Tensor], int]:
        if folder is None:
            return fitted("mobilenet_v3_large", PHOTO)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        network = AutoModelForImageClassification.from_config(config)
        return classified(network, ImageInput.read(folder).size)

    told = params.section("calibrate_classifier")
    with no_init_weights():
        found = [made(folder) for folder in _ready(params).values()]
        if not found:
            found = [fitted(told["train_network"], told["size"])]
        if params.finetune.lambda_face > 0:
            embedder = untrained_face_embedder(_embedder(params))
            found.append((embedder, embedder.embed, FACE_SIZE))
    return found


@contextmanager
def _as_default(kind: torch.dtype) -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def adapt(unet: Any, rank: int) -> None:
    """Add LoRA weights of this rank."""
    from unittest.mock import patch

    import torch
    from peft import LoraConfig, inject_adapter_in_model

    from fairness_core.diffusion.adapters import TARGETS

    # peft moves adapters to their layer's device, and torch cannot move what has no contents.
    with patch.object(torch.nn.Module, "to", lambda module, *_, **__: module):
        inject_adapter_in_model(LoraConfig(r=rank, target_modules=list(TARGETS["unet"])), unet)


def costs(params: Params) -> Callable[[int, bool], Cost]:
    """Costs of micro-batches by dry runs."""
    from fairness_core.training.dry_run import dry_run, without_contents

    section, mode = params.finetune, without_contents()
    built: dict[bool, Networks] = {}

    def cost(images: int, checkpointing: bool) -> Cost:
        with mode:
            if checkpointing not in built:
                built[checkpointing] = networks_of(params, checkpointing)
            networks = built[checkpointing]
            text: Any = networks.modules[2].config
            return dry_run(
                networks,
                images=images,
                tokens=text.max_position_embeddings,
                width=text.hidden_size,
                guided=section.guidance != 1,
                text_only=section.guided_gradient == "text" or section.soft_tokens > 0,
                trains_unet=section.train_unet,
            )

    return cost
