"""Evaluation: generate images, measure them, compare base and aligned."""

from fairness_core.evaluation.assess import Assessment, Instruments, assess, quality_table
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.compare import (
    MODELS,
    compare,
    measured_groups,
)
from fairness_core.evaluation.fair_play import check_alike, check_audit
from fairness_core.evaluation.generate import (
    IMAGE_NOISE,
    Sampling,
    generate_folder,
    plan_images,
)
from fairness_core.evaluation.images import read_images, to_bytes, write_png
from fairness_core.evaluation.labelled import (
    calibrate,
    classifier_report,
    jittered_crops,
    label_columns,
)
from fairness_core.evaluation.methods import compare_all, prompt_table
from fairness_core.evaluation.named import named_hits, named_prompts
from fairness_core.evaluation.planted import planted_difference
from fairness_core.evaluation.shards import Shard, merge_shards

__all__ = [
    "IMAGE_NOISE",
    "MODELS",
    "Assessment",
    "Bootstrap",
    "Instruments",
    "Sampling",
    "Shard",
    "assess",
    "calibrate",
    "check_alike",
    "check_audit",
    "classifier_report",
    "compare",
    "compare_all",
    "generate_folder",
    "jittered_crops",
    "label_columns",
    "measured_groups",
    "merge_shards",
    "named_hits",
    "named_prompts",
    "plan_images",
    "planted_difference",
    "prompt_table",
    "quality_table",
    "read_images",
    "to_bytes",
    "write_png",
]
