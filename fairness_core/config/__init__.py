"""The typed parameters of a run."""

from fairness_core.config.load import load, schema
from fairness_core.config.schema import (
    AttributeEntry,
    Audit,
    CalibrateClassifier,
    EvaluateBias,
    Finetune,
    Gate,
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
    "Audit",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "Gate",
    "GenerateImages",
    "GeneratePrompts",
    "Models",
    "Params",
    "Publish",
    "Report",
    "Run",
    "load",
    "schema",
]
