"""Section ``finetune``: what is trained, on what, with which weights and steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fairness_core.config.after_training import BatchSize, Guidance, SamplingSteps
from fairness_core.config.targets import Name, Section, Share, pair

__all__ = ["Finetune", "LearningRate"]

LearningRate = Annotated[float, Field(gt=0, le=1, description="AdamW's learning rate")]


class Finetune(Section):
    """Adjusted direct finetuning towards the target distribution."""

    align: Annotated[tuple[Name, ...], BeforeValidator(pair)] = Field(
        min_length=1, description="attributes whose distribution is aligned"
    )
    prompt_families: dict[Name, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        default_factory=lambda: {"occupation": 1, "named": 1},
        description="times that each prompt of a family is visited before any repeats",
    )
    hold: Literal["aligned", "named"] = Field(
        default="aligned",
        description="of prompts that name classes: aligned attributes, or every one they name",
    )
    iterations: int = Field(ge=1, le=10_000_000, description="optimizer steps, one prompt each")
    images_per_prompt: int = Field(ge=2, le=4096, description="N, over all processes")
    steps: Annotated[tuple[SamplingSteps, SamplingSteps], BeforeValidator(pair)] = Field(
        description="sampling steps, drawn uniformly from first..last"
    )
    gradient_steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        description="K of S steps that get a gradient; null: all"
    )
    gradient_choice: Literal["uniform", "stratified"] = Field(
        default="uniform",
        description="the K steps drawn: any, or one of each of K stretches",
    )
    gradient_weights: Literal["exact", "reference", "unadjusted", "full"] = Field(
        description="weight of each step's gradient; full: through the whole sampler"
    )
    guided_gradient: Literal["both", "text"] = Field(
        default="both", description="branches of guidance that get a gradient"
    )
    originals: Literal["sampled", "stored"] = Field(
        default="sampled", description="the frozen model's latents: of each iteration, or kept"
    )
    noise_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="prompts' order, noise and steps; null: run.seed"
    )
    noise_sets: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="sets of noise of each prompt; null: new at every visit"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="type of the diffusion model's frozen weights"
    )
    checkpointing: bool = Field(
        default=False, description="recompute blocks in the backward pass, to save memory"
    )
    guidance: Guidance
    train_text_encoder: bool = Field(description="LoRA on the text encoder")
    train_unet: bool = Field(description="LoRA on the U-Net")
    soft_tokens: int = Field(ge=0, le=1024, description="trained prefix tokens; 0: none")
    rank: int = Field(ge=1, le=1024, description="LoRA rank")
    alpha: Annotated[float, Field(gt=0, le=65536)] | None = Field(
        description="LoRA alpha, the scale times rank; null: the rank"
    )
    learning_rate: LearningRate
    learning_rate_decay: Share = Field(
        default=0.0, description="share of the iterations, the last, in which it falls to 0"
    )
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        BeforeValidator(pair),
    ] = Field(description="AdamW's moment decays")
    weight_decay: float = Field(ge=0, le=1, description="AdamW's decoupled decay")
    max_gradient_norm: float = Field(gt=0, description="longer gradients are shortened to this")
    ema_decay: float = Field(ge=0, lt=1, description="average of the weights, with warm-up")
    confidence: float = Field(ge=0, lt=1, description="C: targets below it are not used")
    transport_draws: int = Field(ge=1, le=100_000, description="samples of the joint target")
    lambda_image: float = Field(ge=0, description="weight of the semantics loss")
    lambda_face: float = Field(ge=0, description="weight of the face realism loss; 0: no bank")
    own_face_confidence: Share = Field(
        description="the original's own face is the aim where it is of the target class this surely"
    )
    faces: Literal["largest", "all"] = Field(description="faces of an image that are aligned")
    factor1: dict[Name, Share] = Field(
        description="weight of the semantics loss where target != original class"
    )
    factor2: dict[Name, Share] = Field(description="further factor inside the face region")
    unsure: Literal["held", "loosened"] = Field(
        default="held", description="whether both factors apply to faces whose target is below C"
    )
    checkpoint_every: int = Field(ge=1, description="iterations between checkpoints")
    validate_every: int = Field(
        default=0, ge=0, description="iterations between measures of held-out bias; 0: never"
    )
    validation_images: int = Field(
        default=24, ge=2, le=10_000, description="images of each prompt of split validation"
    )
    validation_steps: SamplingSteps | None = Field(
        default=None, description="sampling steps of these images; null: the most that train"
    )
    stop_at: dict[Name, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="bias per attribute that ends the run early; {}: never"
    )
    batch_size: BatchSize
    loss_batch_size: BatchSize | None = Field(
        default=None, description="images decoded and judged at once; null: batch_size"
    )
