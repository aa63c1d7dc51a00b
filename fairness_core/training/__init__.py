"""Finetuning: ``step`` is the page to read; the rest keeps it going."""

from __future__ import annotations

from fairness_core.training.checkpoint import clear_checkpoints
from fairness_core.training.face_bank import EmbeddedFaces, embed_faces
from fairness_core.training.loop import Finetuned, finetune
from fairness_core.training.originals import Originals, original_latents
from fairness_core.training.parts import Models, Schedule, Settings, StepResult
from fairness_core.training.plan import Batch, plan_batch, prompt_of_iteration
from fairness_core.training.realism import Realism
from fairness_core.training.step import original_images, training_step
from fairness_core.training.validate import Validation

__all__ = [
    "Batch",
    "EmbeddedFaces",
    "Finetuned",
    "Models",
    "Originals",
    "Realism",
    "Schedule",
    "Settings",
    "StepResult",
    "Validation",
    "clear_checkpoints",
    "embed_faces",
    "finetune",
    "original_images",
    "original_latents",
    "plan_batch",
    "prompt_of_iteration",
    "training_step",
]
