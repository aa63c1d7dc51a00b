from .assessment import (
    Instruments,
    assess,
    measure_faces,
)
from .audit import AuditRules, audit_figures, audit_prompts, undecided
from .bootstrap import Bootstrap
from .comparison import compare
from .crops import DatasetCrops, jittered_crops, joined_labels
from .diversity import diversity_figures
from .drift import drift_figures
from .fair_play import check_alike, check_audit
from .figures import faceless, parity_figures
from .folder import list_images, measure_folder
from .frechet import frechet_figures
from .gate import judge
from .generate import (
    IMAGE_NOISE,
    Sampling,
    generate_folder,
    plan_images,
    sample_images,
)
from .groups import MODELS, prompt_table
from .images import read_images, to_bytes, write_png
from .labelled import (
    calibrate,
    classifier_report,
    label_columns,
)
from .labels import confusion_of, read_labels
from .measurements import (
    MEASURED_KINDS,
    Assessment,
    check_measured,
    classes_of,
    quality_table,
    read_measurements,
    write_measurements,
)
from .methods import compare_all
from .named import named_hits, named_prompts
from .planted import named_confusion, planted_agreement, planted_difference
from .scenes import scene_figures
from .shards import Shard, check_images, merge_shards

__all__ = [
    "IMAGE_NOISE",
    "MEASURED_KINDS",
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
    "check_images",
    "check_measured",
    "classes_of",
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
    "read_measurements",
    "sample_images",
    "scene_figures",
    "to_bytes",
    "undecided",
    "write_measurements",
    "write_png",
]
