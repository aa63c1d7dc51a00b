"""Every model that finetuning reads, random and tiny, on disk and in memory."""

from __future__ import annotations

import copy
import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier, build
from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    add_lora,
    add_soft_tokens,
    decode,
    trainable,
)
from fairness_core.embeddings import (
    FaceBank,
    FaceEmbedder,
    ImageSelfEncoder,
    ImageTextEncoder,
    weights_sha256,
    write_bank,
)
from fairness_core.faces import REFERENCE_POINTS, FaceDetector, crop_faces
from fairness_core.runtime.artifacts import write_manifest, write_table
from fairness_core.training import Models, Realism, Settings
from fairness_core.types import Faces
from tests.embeddings.tiny_encoders import make_clip, make_dino
from tests.faces.tiny_detector import bright_cells, write_detector
from tests.helpers.tiny_diffusion import make_tiny_pipeline

# Targets far from what a random model shows, so that some images have to change their class.
ATTRIBUTES: dict[str, Any] = {
    "gender": {"classes": ["female", "male"], "target": [0.8, 0.2]},
    "age": {"classes": ["young", "old"], "target": [0.25, 0.75]},
}
SPACE = AttributeSpace.from_mapping(ATTRIBUTES)
PROMPTS = ("a photo of a nurse", "a pilot", "the face of a clerk", "a judge", "a smith")
CROP = 32
LOOKS = 16
# A random image's brightest cells are faces to the handmade detector, most of the time.
SCORE_OFFSET = -0.7


@dataclass(frozen=True)
class TinyWorld:
    """Folders; not to be written to."""

    base: Path
    detector: Path
    image_text: Path
    image_self: Path
    classifiers: Path
    prompts: Path
    face_embedder: Path
    bank: Path


class BrightSpot:
    """A face around where an image is brightest; none in an image darker than ``darkest``."""

    def __init__(self, darkest: float = -2.0) -> None:
        self.darkest = darkest

    def detect(self, images: Tensor) -> Faces:
        _, _, height, width = images.shape
        light = (images.mean(dim=1) + 1.5).clamp(min=0) ** 6
        light = light / light.sum(dim=(1, 2), keepdim=True)
        x = (light.sum(dim=1) * (torch.arange(width) + 0.5)).sum(dim=1)
        y = (light.sum(dim=2) * (torch.arange(height) + 0.5)).sum(dim=1)
        half = width / 6 + 2 * images.mean(dim=(1, 2, 3))
        boxes = torch.stack([x - half, y - half, x + half, y + half], dim=1)
        present = images.mean(dim=(1, 2, 3)) > self.darkest
        boxes = torch.where(present[:, None], boxes, 0.0)
        return Faces(
            boxes=boxes,
            landmarks=five_points(boxes),
            scores=present.float(),
            present=present,
        )

    def detect_all(self, images: Tensor) -> tuple[Faces, Tensor]:
        """One or two faces where there is one: the second, half as large, in the other half."""
        first, width = self.detect(images), images.shape[-1]
        size = (first.boxes[:, 2:] - first.boxes[:, :2]) / 2
        x, y = (first.boxes[:, :2] + size).unbind(dim=1)
        there = torch.stack([(x + width / 2) % width, y], dim=1)
        second = torch.cat([there - size / 2, there + size / 2], dim=1)
        left, right = images.mean(dim=(1, 2)).chunk(2, dim=1)
        both = first.present & (left.mean(dim=1) > right.mean(dim=1))
        image = torch.cat([torch.nonzero(m).flatten() for m in (first.present, both)])
        n = len(image)
        boxes = torch.cat([first.boxes[first.present], second[both]])
        faces = Faces(boxes, five_points(boxes), torch.ones(n), torch.ones(n, dtype=torch.bool))
        order = image.argsort(stable=True)
        return faces.take(order), image[order]


def five_points(boxes: Tensor) -> Tensor:
    """Eyes, nose and mouth where they would be in upright faces."""
    places = torch.tensor(REFERENCE_POINTS) / 112
    return boxes[:, None, :2] + places * (boxes[:, None, 2:] - boxes[:, None, :2])


def make_tiny_world(folder: Path) -> TinyWorld:
    """Write all the folders; about a second."""
    detector = bright_cells()
    detector["score"][1][0] = SCORE_OFFSET
    write_detector(folder / "detector" / "det.onnx", detector)
    base = make_tiny_pipeline(folder / "base")
    classifier = build("resnet", SPACE, CROP, torch.Generator().manual_seed(1))
    _make_decided(classifier, DiffusionStack.load(base))
    classifier.save(folder / "classifiers" / "train")
    write_manifest(folder / "classifiers", "classifiers")
    rows = [("train", prompt) for prompt in PROMPTS] + [("test", "a prompt kept apart")]
    identity = FaceEmbedder.build(torch.Generator().manual_seed(6), width=8, dimensions=16)
    embedder = identity.save(folder / "embedder")
    table = pd.DataFrame(rows, columns=["split", "prompt"])
    table["prompt_id"] = [f"{split}-{i}" for i, split in enumerate(table["split"])]
    table["family"] = "occupation"
    (folder / "prompts").mkdir()
    write_table(table, folder / "prompts" / "prompts.parquet")
    write_manifest(folder / "prompts", "prompts")
    return TinyWorld(
        base=base,
        detector=folder / "detector",
        image_text=make_clip(folder / "clip"),
        image_self=make_dino(folder / "dino"),
        classifiers=folder / "classifiers",
        prompts=folder / "prompts",
        face_embedder=embedder,
        bank=_make_bank(folder / "bank", embedder),
    )


def _make_bank(folder: Path, embedder: Path) -> Path:
    """Four faces of every combination of classes; their vectors mean nothing."""
    cells = [cell for cell in SPACE.cells for _ in range(4)]
    vectors = torch.randn(len(cells), 16, generator=torch.Generator().manual_seed(7))
    columns = {
        a.name: [a.classes[cell[i]] for cell in cells] for i, a in enumerate(SPACE.attributes)
    }
    names = [f"face-{i}" for i in range(len(cells))]
    table = pd.DataFrame({"source_id": names, **columns, "source": "made up", "licence": "none"})
    folder.mkdir()
    write_bank(
        folder,
        torch.nn.functional.normalize(vectors),
        table,
        embedder_sha256=weights_sha256(embedder),
    )
    write_manifest(folder, "face-bank")
    return folder


def tiny_realism(
    world: TinyWorld, *, double: bool = False, space: AttributeSpace = SPACE
) -> Realism:
    """Embedder and bank of the tiny world, the bank for targets of these attributes."""
    embedder = FaceEmbedder.load(world.face_embedder)
    bank = FaceBank.load(world.bank, space, embedder_sha256=weights_sha256(world.face_embedder))
    return Realism(embedder.double() if double else embedder, bank)


@torch.no_grad()
def _make_decided(classifier: AttributeClassifier, stack: DiffusionStack) -> None:
    """Let an untrained classifier see each class in some of the model's images, and clearly."""
    source = torch.Generator().manual_seed(3)
    latents = torch.randn(LOOKS, *stack.latent_shape, generator=source)
    images = decode(stack, latents).clamp(-1, 1)
    faces = BrightSpot().detect(images)
    logits = classifier.forward(crop_faces(images, faces.boxes, faces.present, size=CROP))
    classifier.network.classifier[-1].bias -= logits.mean(dim=0)
    classifier.set_temperatures(
        {name: float(part.std()) / 5 for name, part in classifier.split(logits).items()}
    )


_LOADING = threading.Lock()  # tests train in threads, and transformers loads in one alone


@functools.lru_cache(maxsize=2)
def _loaded(
    world: TinyWorld,
) -> tuple[DiffusionStack, AttributeClassifier, ImageTextEncoder, ImageSelfEncoder]:
    return (
        DiffusionStack.load(world.base),
        AttributeClassifier.load(world.classifiers / "train", SPACE),
        ImageTextEncoder.load(world.image_text),
        ImageSelfEncoder.load(world.image_self),
    )


def tiny_models(
    world: TinyWorld,
    *,
    text_encoder: bool = True,
    unet: bool = False,
    soft_tokens: int = 0,
    detector: FaceDetector | None = None,
    trained: bool = True,
    double: bool = False,
) -> Models:
    """A fresh copy of the diffusion model with adapters of rank 2; the judges are shared.

    With ``soft_tokens`` it has that many of them and no other adapters. With ``trained`` the
    adapters are as after some training: B is not zero, the tokens are no words. With ``double``
    everything but the encoders is float64: the classifier's kinks turn float32's rounding into
    differences of up to 1e-4 between gradients that are equal.
    """
    with _LOADING:
        stack, classifier, image_text, image_self = _loaded(world)
    fresh = DiffusionStack(
        tokenizer=stack.tokenizer,
        text_encoder=copy.deepcopy(stack.text_encoder),
        vae=stack.vae,
        unet=copy.deepcopy(stack.unet),
        scheduler=copy.deepcopy(stack.scheduler),
    )
    source = torch.Generator().manual_seed(2)
    if soft_tokens:
        add_soft_tokens(fresh, soft_tokens, generator=source)
    else:
        add_lora(
            fresh,
            text_encoder=LoraSpec(2) if text_encoder else None,
            unet=LoraSpec(2) if unet else None,
            generator=source,
        )
    if trained:
        for name, parameter in trainable(fresh).items():
            if ".lora_A." not in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=source)
    if double:
        for network in (fresh.text_encoder, fresh.unet):
            network.double()
        fresh.vae = copy.deepcopy(fresh.vae).double()
        classifier = copy.deepcopy(classifier).double()
    return Models(
        stack=fresh,
        detector=BrightSpot() if detector is None else detector,
        classifier=classifier,
        image_text=image_text,
        image_self=image_self,
    )


def tiny_settings(**changes: Any) -> Settings:
    """Settings under which every part of the loss takes part."""
    values: dict[str, Any] = {
        "space": SPACE,
        "guidance": 3.0,
        "gradient_steps": None,
        "gradient_weights": "exact",
        "confidence": 0.7,
        "transport_draws": 10,
        "lambda_image": 5.0,
        "factor1": {"gender": 0.2, "age": 0.6},
        "factor2": {"gender": 0.2, "age": 0.3},
        "batch_size": 8,
    }
    return Settings(**values | changes)


def write_params(path: Path, repository: Path, world: TinyWorld, **finetune: Any) -> Path:
    """Write the project's own params.yaml with these models and few, small iterations."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["run"] |= {"name": "tiny", "device": "cpu", "threads": 1, "tracking": False}
    params["models"] |= {
        "base": str(world.base),
        "detector": str(world.detector),
        "detector_size": 32,
        "image_text": str(world.image_text),
        "image_self": str(world.image_self),
        "face_embedder": str(world.face_embedder),
    }
    params["attributes"] = ATTRIBUTES
    params["finetune"] |= {
        "align": ["gender", "age"],
        "factor1": {"gender": 0.2, "age": 0.6},
        "factor2": {"gender": 0.2, "age": 0.3},
        "confidence": 0.5,
        "steps": [2, 3],
        "gradient_steps": 2,
        "rank": 2,
        "batch_size": 8,
    }
    params["finetune"] |= finetune
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path
