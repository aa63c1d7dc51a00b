"""Models of a finetuning by their shapes alone, random: nothing is downloaded, nothing read.

``sd15``: Stable Diffusion 1.5, CLIP ViT-H/14, DINOv2 ViT-B/14 and MobileNetV3-Large, by the
configurations that ``evenhand plan`` counts with. ``tiny``: the same parts for a CPU in seconds.
A random model's images have no faces, so that every image's middle stands for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

from components.published import PUBLISHED
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build
from fairness_core.diffusion import DiffusionStack
from fairness_core.embeddings import FaceBank, FaceEmbedder, ImageSelfEncoder, ImageTextEncoder
from fairness_core.faces import REFERENCE_POINTS
from fairness_core.model_folders import ImageInput
from fairness_core.training import Models, Realism
from fairness_core.types import Faces

__all__ = ["SHAPES", "STAND_INS", "FixedBox", "Shape", "random_models", "random_stack"]

BANK = 4096  # faces
PIXELS = {"mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28), "mode": "bicubic"}
WORDS = {"<|startoftext|>": 0, "<|endoftext|>": 1}
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
STAND_INS = (
    "all weights are random, so images, losses and classes mean nothing",
    "the middle of every image stands for its face: face detection is not in any figure",
    "the face bank is random, and its embedder the project's own",
)


@dataclass(frozen=True)
class Shape:
    """Configurations, where they differ from the libraries' own.

    Attributes:
        networks: Of ``components.published.PUBLISHED``'s names.
        classifier: Kind of network.
        crop: Side of its input, px.
    """

    networks: Mapping[str, Mapping[str, Any]]
    classifier: str
    crop: int


LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**LAYERS, "intermediate_size": 64, "vocab_size": 2, "max_position_embeddings": 77}
SHAPES = {
    "sd15": Shape(PUBLISHED, "mobilenet_v3_large", 224),
    "tiny": Shape(
        {
            "unet": {
                "sample_size": 8,
                "block_out_channels": (32, 64),
                "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
                "layers_per_block": 1,
                "cross_attention_dim": 32,
                "attention_head_dim": 4,
                "norm_num_groups": 8,
            },
            "vae": {
                "sample_size": 32,
                "block_out_channels": (16, 16, 32),
                "down_block_types": ("DownEncoderBlock2D",) * 3,
                "up_block_types": ("UpDecoderBlock2D",) * 3,
                "norm_num_groups": 8,
                "layers_per_block": 1,
            },
            "text_encoder": TEXT,
            "image_text": {
                "projection_dim": 16,
                "text_config": TEXT,
                "vision_config": {
                    **LAYERS,
                    "intermediate_size": 64,
                    "patch_size": 8,
                    "image_size": 32,
                },
            },
            "image_self": {**LAYERS, "image_size": 32, "patch_size": 8, "mlp_ratio": 2},
        },
        "resnet",
        32,
    ),
}


class FixedBox:
    """A face in the middle of every image, half as wide and as high."""

    def detect(self, images: Tensor) -> Faces:
        """One for each image, on its device."""
        n, _, height, width = images.shape
        sides = images.new_tensor([width, height, width, height])
        boxes = (sides * images.new_tensor([0.25, 0.25, 0.75, 0.75])).expand(n, 4).contiguous()
        places = images.new_tensor(REFERENCE_POINTS) / 112
        points = boxes[:, None, :2] + places * (boxes[:, None, 2:] - boxes[:, None, :2])
        there = torch.ones(n, dtype=torch.bool, device=images.device)
        return Faces(boxes, points, images.new_ones(n), there)

    def detect_all(self, images: Tensor) -> tuple[Faces, Tensor]:
        """The same ones."""
        return self.detect(images), torch.arange(len(images), device=images.device)


def random_stack(
    shape: Shape, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> DiffusionStack:
    """A frozen text-to-image model; its weights are drawn on the device."""
    length = shape.networks["text_encoder"]["max_position_embeddings"]
    text = CLIPTextConfig(**shape.networks["text_encoder"], **IDS)
    with torch.device(device):
        text_encoder = CLIPTextModel(text)
        vae = AutoencoderKL.from_config(dict(shape.networks["vae"]))
        unet = UNet2DConditionModel.from_config(dict(shape.networks["unet"]))
    for network in (text_encoder, vae, unet):
        network.requires_grad_(False).eval().to(dtype)
    # As ``DiffusionStack.load`` lays them out.
    for network in (vae, unet):
        network.to(memory_format=torch.channels_last)
    return DiffusionStack(
        tokenizer=CLIPTokenizer(vocab=WORDS, merges=[], model_max_length=length),
        text_encoder=text_encoder,
        vae=vae,
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    )


def random_models(
    shape: Shape, space: AttributeSpace, device: torch.device, dtype: torch.dtype
) -> Models:
    """Everything that a finetuning looks through.

    Args:
        shape: Of the networks.
        space: All attributes of the run: the classifier's and the bank's.
        device: Where they are.
        dtype: Of the diffusion model's weights; the others' are float32.
    """
    torch.manual_seed(0)
    told = shape.networks
    towers = {**told["image_text"], "text_config": {**told["image_text"]["text_config"], **IDS}}
    with torch.device(device):
        clip = CLIPModel(CLIPConfig(**towers))
        dino = Dinov2Model(Dinov2Config(**told["image_self"]))
    size = clip.config.vision_config.image_size
    image_text = ImageTextEncoder(clip, None, ImageInput(size, **PIXELS))
    image_self = ImageSelfEncoder(dino, ImageInput(dino.config.image_size, **PIXELS))
    source = torch.Generator().manual_seed(1)
    classifier = build(shape.classifier, space, shape.crop, source)
    embedder = FaceEmbedder.build(source)
    networks = (image_text, image_self, classifier, embedder)
    for network in networks:
        network.to(device).eval().requires_grad_(False)
    cells = torch.tensor(list(space.cells), device=device)
    labels = cells[torch.arange(BANK, device=device) % len(cells)]
    known = torch.ones(BANK, dtype=torch.bool, device=device)
    vectors = normalize(torch.randn(BANK, embedder.dimensions, generator=source)).to(device)
    bank = FaceBank(
        vectors,
        {name: labels[:, i] for i, name in enumerate(space.names)},
        dict.fromkeys(space.names, known),
    )
    return Models(
        stack=random_stack(shape, device, dtype),
        detector=FixedBox(),
        classifier=classifier,
        image_text=image_text,
        image_self=image_self,
        realism=Realism(embedder, bank),
    )
