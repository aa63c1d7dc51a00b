"""The invented run's base model, audited: with two classifiers, labels and a damaged image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairness_core.evaluation import AuditRules, Bootstrap, audit_figures, audit_prompts
from fairness_core.reporting import AuditData, ReportData
from tests.reporting.world import SPACE

RULES = AuditRules(undecided_below=0.6, false_claims=0.05, labels_per_class=3)


def audited(data: ReportData, *, labelled: bool = True) -> AuditData:
    """The audit of the base model's images that exist as files."""
    rng = np.random.default_rng(11)
    images = data.images[(data.images["model"] == "base")].assign(model="audited")
    images = images[images["index"] < data.images_per_prompt].reset_index(drop=True)
    keys = ["prompt_id", "index"]
    faces = data.faces[data.faces["model"] == "base"].merge(images[[*keys, "file"]], on=keys)
    faces = faces.assign(model="audited", readable=True)
    faces.loc[faces.index[-1], ["readable", "present"]] = False
    for a in SPACE.attributes:
        other = faces[a.name].where(rng.random(len(faces)) < 0.9, a.classes[0])
        faces[f"second_{a.name}"] = other.where(faces["present"].astype(bool), None)
    sheet = pd.DataFrame({"file": faces["file"], "face": np.where(faces["present"], "yes", "no")})
    for a in SPACE.attributes:
        wrong = np.asarray(a.classes)[rng.integers(0, a.size, len(faces))]
        sheet[a.name] = faces[a.name].where(rng.random(len(faces)) < 0.92, wrong)
    sheet = sheet[faces["readable"].to_numpy()]
    intervals = Bootstrap(0, 100)
    labels = sheet if labelled else None
    figures = audit_figures(faces, SPACE, RULES, intervals, labels=labels)
    figures |= {
        "prompts_without_images": ["test-9999"],
        "classifier_sha256": ["0f" * 32],
        "trained_against_allowed": False,
    }
    return AuditData(
        title="Audit of pictures",
        date="2026-11-23",
        facts={"Audited": "pictures", "Prompt list": "prompts.csv"},
        space=SPACE,
        figures=figures,
        table=audit_prompts(faces, SPACE, RULES, intervals),
        prompts=data.prompts[["prompt_id", "prompt"]],
        images=images,
        faces=faces,
        folder=Path(data.folders["base"]),
        false_claims=RULES.false_claims,
        shown=data.images_per_prompt,
        commands=("evenhand audit --images pictures --prompts prompts.csv",),
        hashes={"audit classifier": "0f" * 32},
    )
