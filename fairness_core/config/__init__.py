"""The typed parameters of a run."""

from fairness_core.config.load import load, schema
from fairness_core.config.part import load_part, take
from fairness_core.config.presets import (
    Preset,
    assignments,
    find_preset,
    load_preset,
    read_preset,
    read_presets,
)
from fairness_core.config.schema import (
    AttributeEntry,
    Audit,
    Baselines,
    CalibrateClassifier,
    EvaluateBias,
    Finetune,
    Gate,
    GenerateImages,
    GeneratePrompts,
    JointTable,
    Models,
    Params,
    Publish,
    Report,
    Run,
    Targets,
)

__all__ = [
    "AttributeEntry",
    "Audit",
    "Baselines",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "Gate",
    "GenerateImages",
    "GeneratePrompts",
    "JointTable",
    "Models",
    "Params",
    "Preset",
    "Publish",
    "Report",
    "Run",
    "Targets",
    "assignments",
    "find_preset",
    "load",
    "load_part",
    "load_preset",
    "read_preset",
    "read_presets",
    "schema",
    "take",
]
