"""The typed parameters of a run."""

from fairness_core.config.load import load, schema
from fairness_core.config.part import load_part, take
from fairness_core.config.schema import (
    AttributeEntry,
    Baselines,
    CalibrateClassifier,
    EvaluateBias,
    Finetune,
    GenerateImages,
    GeneratePrompts,
    Models,
    Params,
    Publish,
    Report,
    Run,
)

__all__ = [
    "AttributeEntry",
    "Baselines",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "GenerateImages",
    "GeneratePrompts",
    "Models",
    "Params",
    "Publish",
    "Report",
    "Run",
    "load",
    "load_part",
    "schema",
    "take",
]
