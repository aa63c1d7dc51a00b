"""The typed parameters of a run, and the policy of a release."""

from fairness_core.config.load import load, schema
from fairness_core.config.part import load_part, take
from fairness_core.config.policy import RULES, Policy, Waiver, read_policy
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
    "RULES",
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
    "Policy",
    "Preset",
    "Publish",
    "Report",
    "Run",
    "Targets",
    "Waiver",
    "assignments",
    "find_preset",
    "load",
    "load_part",
    "load_preset",
    "read_policy",
    "read_preset",
    "read_presets",
    "schema",
    "take",
]
