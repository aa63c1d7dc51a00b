from .checkpoint import clear_checkpoints
from .face_bank import EmbeddedFaces, embed_faces
from .loop import Finetuned, finetune
from .originals import Originals, original_latents
from .parts import Models, Schedule, Settings, StepResult
from .plan import Batch, plan_batch, prompt_of_iteration
from .realism import Realism
from .step import original_images, training_step
from .validate import Validation

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
