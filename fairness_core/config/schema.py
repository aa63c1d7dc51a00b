"""Every value of a run: name, type, unit and range. One model per section of params.yaml."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fairness_core.attributes import AttributeSpace
from fairness_core.config.after_training import (
    Audit,
    Baselines,
    BatchSize,
    EvaluateBias,
    Gate,
    GenerateImages,
    MeasureImages,
    Publish,
    Report,
    Sweep,
)
from fairness_core.config.choices import Sampler, network, source_of_bank, source_of_faces
from fairness_core.config.finetune import Finetune, LearningRate
from fairness_core.config.targets import (
    AttributeEntry,
    ClassName,
    JointTable,
    Name,
    Section,
    Targets,
    Text,
    pair,
)

__all__ = [
    "AttributeEntry",
    "Audit",
    "Baselines",
    "BuildBank",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "Gate",
    "GenerateImages",
    "GeneratePrompts",
    "JointTable",
    "MeasureImages",
    "Models",
    "Params",
    "Publish",
    "Report",
    "Run",
    "Sweep",
    "Targets",
]


Network = Annotated[str | dict[Name, Text], BeforeValidator(network)]
Labels = Annotated[tuple[Text, ...], BeforeValidator(pair)]


class Run(Section):
    """What all steps share."""

    name: str = Field(
        pattern=r"^[\w][\w .+-]*$", max_length=100, description="names the MLflow experiment"
    )
    seed: int = Field(ge=0, lt=2**63, description="enters every seed")
    device: Literal["auto", "cpu", "cuda"] = Field(description="where networks run")
    threads: int = Field(ge=1, le=256, description="CPU threads")
    tracking: bool = Field(description="log to MLflow")


class Models(Section):
    """Local model folders, ``ORG/NAME@REVISION`` of the hub, or ``portraits:NAME`` that ships."""

    base: Text = Field(description="diffusers text-to-image pipeline")
    sampler: Sampler | None = Field(
        default=None, description="solves the base model wherever it samples; null: its own"
    )
    detector: Text = Field(description="insightface pack")
    detector_size: int = Field(
        ge=32, le=4096, multiple_of=32, description="px, longer side given to the detector"
    )
    second_detector: Text | None = Field(
        description="insightface pack for images in which the first finds no face; null: none"
    )
    second_detector_size: int = Field(
        ge=32, le=4096, multiple_of=32, description="px, longer side given to the second detector"
    )
    detector_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where detectors run; auto: run.device where onnxruntime can"
    )
    face_embedder: Text = Field(
        description="embedder of the face realism loss and its bank: a FaceEmbedder folder, an "
        "insightface pack, or its recognition model's .onnx file"
    )
    image_text: Text = Field(description="CLIP of the training loss")
    image_self: Text = Field(description="DINOv2 of the training loss")
    audit_image_text: Text = Field(description="CLIP of the evaluation")
    audit_image_self: Text = Field(description="DINOv2 of the evaluation")


class GeneratePrompts(Section):
    """Prompts and how many images each gets in the evaluation."""

    world: Text = Field(description="prompt catalog: portraits, photos, or a file of one's own")
    test_images: int = Field(ge=1, le=10000, description="images per held-out prompt")
    named_images: int = Field(
        ge=1, le=10000, description="images per attribute-naming or stress prompt"
    )
    scene_images: int = Field(
        default=20, ge=1, le=10000, description="images per prompt without people"
    )


class CalibrateClassifier(Section):
    """The training classifier and the separate one that audits."""

    source: Annotated[str | dict[Name, Text], BeforeValidator(source_of_faces)] = Field(
        description="labelled faces: portraits, fairface:FOLDER, celeba:FOLDER, or by attribute"
    )
    images: int = Field(
        ge=100, le=1_000_000, description="labelled portraits drawn, or pictures used at most"
    )
    size: int = Field(ge=32, le=1024, description="px, side of the crops a network is fitted on")
    merges: dict[Name, dict[ClassName, Labels]] = Field(
        description="attribute to class to labels, in place of the published merges"
    )
    old_from: Literal[3, 10, 20, 30, 40, 50, 60, 70] = Field(
        description="FairFace: years from which a face is old"
    )
    fairface_padding: float = Field(gt=0, le=2, description="FairFace: margin of its pictures")
    epochs: int = Field(ge=1, le=1000, description="passes of the training classifier")
    audit_epochs: int = Field(ge=1, le=1000, description="passes of the audit classifier")
    batch_size: BatchSize
    learning_rate: LearningRate
    train_network: Network = Field(
        description="training classifier: a network, or ready ones by attribute"
    )
    audit_network: Network = Field(description="audit classifier, different from train_network")
    train_weights: Text | None = Field(description="safetensors file that its fit starts from")
    audit_weights: Text | None = Field(description="safetensors file that its fit starts from")


class BuildBank(Section):
    """Faces that nobody generated, for the face realism loss."""

    source: Annotated[Text | None, BeforeValidator(source_of_bank)] = Field(
        description="labelled faces: portraits, fairface:FOLDER, celeba:FOLDER; null: no bank"
    )
    images: int = Field(
        ge=1, le=10_000_000, description="labelled portraits drawn, or pictures read at most"
    )
    batch_size: BatchSize


class Params(Section):
    """A whole run."""

    run: Run
    models: Models
    attributes: dict[Name, AttributeEntry] = Field(min_length=1)
    targets: Targets = Field(default_factory=Targets)
    generate_prompts: GeneratePrompts
    calibrate_classifier: CalibrateClassifier
    build_bank: BuildBank
    finetune: Finetune
    publish: Publish
    generate_images: GenerateImages
    baselines: Baselines
    measure_images: MeasureImages
    evaluate_bias: EvaluateBias
    report: Report
    audit: Audit
    gate: Gate
    sweep: Sweep = Field(default_factory=Sweep)

    @cached_property
    def attribute_space(self) -> AttributeSpace:
        """The attributes, their classes and targets."""
        joint = self.section("targets")["joint"]
        return AttributeSpace.from_mapping(self.section("attributes"), joint)

    def section(self, name: str) -> dict[str, Any]:
        """One section as plain values: dicts, lists, text, numbers, as params.yaml has them.

        Raises:
            KeyError: No such section.
        """
        plain: dict[str, Any] = self.model_dump(mode="json", include={name})[name]
        return plain
