"""What a report is made from: plain tables, dictionaries and folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError, ConfigError, PromptError

__all__ = ["MODELS", "NOT_MEASURED", "Finding", "PictureSource", "ReportData", "RunFacts"]

MODELS = ("base", "aligned")

NOT_MEASURED = (
    "Identity. No figure here says who a depicted person is; each says what a classifier sees in "
    "a generated picture.",
    "Perceptions that fall between or outside the listed classes. The classifier has to choose "
    "one of them for every face.",
    "Classifier error inside the shares. Where accuracy is stated, the shares are still not "
    "corrected for it.",
    "Other training runs. The intervals are about prompts and noise; another training seed gives "
    "another model.",
    "Images in which no face was found. They are counted in the no-face rate and appear in no "
    "share; further faces in an image are ignored.",
    "Other prompts, guidance scales, step counts and samplers than those stated at the top.",
    "How people are portrayed beyond the listed attributes: clothing, posture, expression, "
    "setting, dignity.",
    "Safety, copyright, memorised training images, and what happens once the pictures are used.",
)

_TABLES = {
    "prompts": ("prompt_id", "prompt", "split", "subject"),
    "images": ("image_id", "prompt_id", "index", "file", "model"),
    "faces": ("prompt_id", "index", "model", "present", "score", "x0", "y0", "x1", "y1"),
}


@dataclass(frozen=True)
class RunFacts:
    """What was run, as printed at the top of the report.

    Attributes:
        title: Name of the run.
        model: Name of the base model.
        date: Printed as given; the report never reads the clock.
        seed: Seed of the run.
        steps: Sampling steps per image.
        guidance: Guidance scale; the evaluation's own is printed where it has one.
        sampler: Class of the scheduler, as diffusers calls it; None where unknown.
        revision: Git revision of the code, None when unknown.
        more: Further rows, label to value, such as the detector or the audit classifier.
    """

    title: str
    model: str
    date: str
    seed: int
    steps: int
    guidance: float | None = None
    sampler: str | None = None
    revision: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One further figure that has no section of its own.

    Attributes:
        name: What was measured.
        value: The result as text, with its interval when there is one.
        meaning: How to read it, one sentence.
    """

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class PictureSource:
    """Images, and what was seen in them, of one or two models.

    Attributes:
        models: Names of the models, in the order shown.
        space: Every measured attribute.
        images: See ``ReportData``.
        faces: See ``ReportData``.
        folders: See ``ReportData``.
        shown: Pictures shown of each prompt and model, the first by index.
    """

    models: tuple[str, ...]
    space: AttributeSpace
    images: pd.DataFrame
    faces: pd.DataFrame
    folders: Mapping[str, Path]
    shown: int


@dataclass(frozen=True)
class ReportData:
    """Everything that the page and the model card show; nothing is measured again.

    Attributes:
        facts: What was run.
        space: Every audited attribute with its target.
        aligned: Names of the attributes that training aligned.
        evaluation: Contents of ``metrics/evaluation.json``.
        prompts: One row per prompt: prompt_id, prompt, split, subject.
        images: One row per image: image_id, prompt_id, index, file, model.
        faces: One row per image: prompt_id, index, model, present, score, box in px
            (x0 y0 x1 y1), the class name of each attribute, and optionally its probabilities
            ``p_<attribute>_<class>``.
        folders: Model name to the folder that its ``file`` paths start from.
        split: The held-out split that the figures are about.
        calibration: Optional. ``{"train"|"audit": {attribute: {"accuracy", "n", "ece_before",
            "ece_after", "temperature", "groups": {name: {"accuracy", "n"}}, "reliability":
            [{"confidence", "accuracy", "count"}]}}}``; every inner key may be missing. Groups
            are named ``gender=female`` or, where combined, ``female/light``.
        training: Optional. One row per iteration: ``iteration``, ``loss_<part>``,
            ``share_<attribute>_<class index>`` or ``bias_<attribute>``, ``used_<attribute>``,
            ``face_rate``; whatever of these there is gets a curve.
        gate: Optional. Verdict of ``evaluation.judge``; its waivers are printed.
        findings: Further figures, shown below the quality table.
        not_measured: What the reader must not conclude.
        notes: Remarks on this run, such as that its world is drawn.
        commands: Shell lines that repeat the run.
        hashes: Name of an artifact to its sha256.
        images_per_prompt: Pictures shown of each prompt and model, the first by index.

    Raises:
        ArtifactError: A table lacks a column, or a model is missing from the evaluation,
            the images or the folders.
        ConfigError: An aligned attribute is not in the space, or images_per_prompt < 1.
        PromptError: No prompt of the split.
    """

    facts: RunFacts
    space: AttributeSpace
    aligned: Sequence[str]
    evaluation: Mapping[str, Any]
    prompts: pd.DataFrame
    images: pd.DataFrame
    faces: pd.DataFrame
    folders: Mapping[str, Path]
    split: str = "test"
    calibration: Mapping[str, Any] | None = None
    training: pd.DataFrame | None = None
    gate: Mapping[str, Any] | None = None
    findings: Sequence[Finding] = ()
    not_measured: Sequence[str] = NOT_MEASURED
    notes: Sequence[str] = ()
    commands: Sequence[str] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    images_per_prompt: int = 40

    def __post_init__(self) -> None:
        self.space.subset(self.aligned)
        if self.images_per_prompt < 1:
            raise ConfigError(
                "A report needs at least one picture per prompt",
                given=self.images_per_prompt,
                do="set report.images_per_prompt to 1 or more",
            )
        for table, columns in _TABLES.items():
            wanted = (*columns, *self.space.names) if table == "faces" else columns
            missing = [c for c in wanted if c not in getattr(self, table).columns]
            if missing:
                raise ArtifactError(
                    f"The {table} table lacks columns that the report needs",
                    given=", ".join(missing),
                    do="repeat the step that wrote the table",
                )
        for model in MODELS:
            places = {
                "evaluation": model in self.evaluation,
                "images table": bool((self.images["model"] == model).any()),
                "folders": model in self.folders,
            }
            absent = [place for place, found in places.items() if not found]
            if absent:
                raise ArtifactError(
                    f"The report compares two models and '{model}' is missing",
                    given=f"not in {', '.join(absent)}",
                    do="generate and evaluate both models first",
                )
        if not (self.prompts["split"] == self.split).any():
            raise PromptError(
                f"There is no prompt of the split '{self.split}'",
                given=sorted(str(s) for s in self.prompts["split"].unique()),
                do="name a split that was generated and evaluated",
            )

    @property
    def pictures(self) -> PictureSource:
        """Images and faces of both models."""
        shown = self.images_per_prompt
        return PictureSource(MODELS, self.space, self.images, self.faces, self.folders, shown)

    @property
    def shown_prompts(self) -> pd.DataFrame:
        """Prompts of the split, in the table's order."""
        return self.prompts[self.prompts["split"] == self.split].reset_index(drop=True)
