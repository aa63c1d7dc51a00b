"""Evaluation: generate images, measure them, compare base and aligned."""

from fairness_core.evaluation.assess import (
    Assessment,
    Instruments,
    assess,
    measure_faces,
    quality_table,
)
from fairness_core.evaluation.audit import AuditRules, audit_figures, audit_prompts, undecided
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.compare import compare
from fairness_core.evaluation.crops import DatasetCrops, jittered_crops, joined_labels
from fairness_core.evaluation.diversity import diversity_figures
from fairness_core.evaluation.drift import drift_figures
from fairness_core.evaluation.fair_play import check_alike, check_audit
from fairness_core.evaluation.figures import faceless, parity_figures
from fairness_core.evaluation.folder import list_images, measure_folder
from fairness_core.evaluation.frechet import frechet_figures
from fairness_core.evaluation.gate import judge
from fairness_core.evaluation.generate import (
    IMAGE_NOISE,
    Sampling,
    generate_folder,
    plan_images,
)
from fairness_core.evaluation.groups import MODELS, prompt_table
from fairness_core.evaluation.images import read_images, to_bytes, write_png
from fairness_core.evaluation.labelled import (
    calibrate,
    classifier_report,
    label_columns,
)
from fairness_core.evaluation.labels import confusion_of, read_labels
from fairness_core.evaluation.methods import compare_all
from fairness_core.evaluation.named import named_hits, named_prompts
from fairness_core.evaluation.planted import named_confusion, planted_agreement, planted_difference
from fairness_core.evaluation.scenes import scene_figures
from fairness_core.evaluation.shards import Shard, merge_shards

__all__ = [
    "IMAGE_NOISE",
    "MODELS",
    "Assessment",
    "AuditRules",
    "Bootstrap",
    "DatasetCrops",
    "Instruments",
    "Sampling",
    "Shard",
    "assess",
    "audit_figures",
    "audit_prompts",
    "calibrate",
    "check_alike",
    "check_audit",
    "classifier_report",
    "compare",
    "compare_all",
    "confusion_of",
    "diversity_figures",
    "drift_figures",
    "faceless",
    "frechet_figures",
    "generate_folder",
    "jittered_crops",
    "joined_labels",
    "judge",
    "label_columns",
    "list_images",
    "measure_faces",
    "measure_folder",
    "merge_shards",
    "named_confusion",
    "named_hits",
    "named_prompts",
    "parity_figures",
    "plan_images",
    "planted_agreement",
    "planted_difference",
    "prompt_table",
    "quality_table",
    "read_images",
    "read_labels",
    "scene_figures",
    "to_bytes",
    "undecided",
    "write_png",
]
