"""Images of base and aligned at any setting of a sweep, and what is measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import CLASSIFIER_WEIGHTS, Settings, Step, audit_instruments, sampling_of

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.evaluation import Assessment, Instruments
    from fairness_core.evaluation.sweep import Point

__all__ = ["MODELS", "Sampler"]

MODELS = ("base", "aligned")


class Sampler:
    """Both models, loaded once.

    Args:
        models: Section ``models``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` measures.
        bundle: Folder of ``publish``.
        sampling: Section ``generate_images``; a point's own guidance and steps take its place.
        settings: Section ``run``.
        step: The running step.
        out: Folder of the images.

    Raises:
        ArtifactError: An input is missing or damaged.
        ModelError: The audit classifier was trained with.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        classifiers: Path,
        bundle: Path,
        sampling: Mapping[str, Any],
        settings: Settings,
        step: Step,
        out: Path,
    ) -> None:
        from fairness_core.diffusion import DiffusionStack
        from fairness_core.evaluation import check_audit
        from fairness_core.export import load_bundle, weights_sha256
        from fairness_core.portraits.models import resolve
        from fairness_core.runtime import as_dtype, sha256_file, verify

        verify(classifiers, kind="classifiers")
        self._models, self._classifiers, self._out = models, classifiers, out
        self._sampling, self._settings, self._step = sampling, settings, step
        folder = resolve(models["base"])
        weights = weights_sha256(folder)
        dtype = as_dtype(sampling["precision"])
        self._stacks = {
            model: DiffusionStack.load(folder, device=step.device, dtype=dtype) for model in MODELS
        }
        facts = load_bundle(self._stacks["aligned"], bundle, base=weights)["extra"]
        check_audit(
            sha256_file(classifiers / "audit" / CLASSIFIER_WEIGHTS),
            trained_with=(
                sha256_file(classifiers / "train" / CLASSIFIER_WEIGHTS),
                facts.get("classifier_sha256"),
            ),
        )
        self._own = self._stacks["base"].scheduler
        self._recipes = {model: {"model": model, "base_sha256": weights} for model in MODELS}
        self._recipes["aligned"]["bundle_sha256"] = sha256_file(bundle / "manifest.json")

    def instruments(self, space: AttributeSpace) -> Instruments:
        """The networks of the evaluation."""
        return audit_instruments(self._models, self._classifiers, space, self._step.device)

    def measured(
        self,
        model: str,
        point: Point,
        prompts: pd.DataFrame,
        images: int,
        instruments: Instruments,
        space: AttributeSpace,
    ) -> Assessment:
        """One model's images at a setting, sampled where they are not there, and measured."""
        import pandas as pd

        from fairness_core.diffusion import scheduler_of
        from fairness_core.evaluation import (
            IMAGE_NOISE,
            assess,
            generate_folder,
            plan_images,
        )
        from fairness_core.runtime import read_table

        stack = self._stacks[model]
        own = point.sampler == "own"
        stack.scheduler = self._own if own else scheduler_of(point.sampler, self._own)
        # The noise of the evaluation: the centre's images are the evaluation's.
        setting = {"guidance": point.guidance, "steps": point.steps}
        told = sampling_of({**self._sampling, **setting}, IMAGE_NOISE, self._settings)
        counts = pd.DataFrame({"prompt_id": prompts["prompt_id"], "images": images})
        rows = plan_images(prompts, counts, told, model=model)
        folder = self._out / "images" / point.name / model
        generate_folder(
            stack,
            rows,
            folder,
            told,
            recipe={**self._recipes[model], "sampler": point.sampler},
            label=f"{point.name}, {model}",
            reuse=True,
        )
        return assess(
            read_table(folder / "images.parquet"),
            folder,
            prompts,
            instruments,
            space,
            batch_size=self._sampling["batch_size"],
            label=f"{point.name}, {model} measured",
        )
