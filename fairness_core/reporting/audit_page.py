"""The audit's page: one model or folder, from the figures, tables and images of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.reporting.audit_views import audit_cards, audit_rates, claims_of, confusions
from fairness_core.reporting.data import PictureSource
from fairness_core.reporting.joint import joint_tables
from fairness_core.reporting.page import environment
from fairness_core.reporting.prompt_views import AT_ONCE, picture_data, prompt_views
from fairness_core.reporting.summary import label_of
from fairness_core.reporting.targets import target_text
from fairness_core.reporting.views import bar_tables

__all__ = ["AUDIT_LIMITS", "AuditData", "build_audit_page"]

MODEL = "audited"
LEAD = (
    "How the people in these pictures are perceived: shares of perceived attributes for each "
    "prompt, held against a stated target, with what the sample size and the classifier's errors "
    "leave open."
)
AUDIT_LIMITS = (
    "Identity. No figure here says who a depicted person is; each says what a classifier sees in "
    "a picture.",
    "Perceptions that fall between or outside the listed classes. The classifier has to choose "
    "one of them for every face; those it is unsure of are counted as undecided as well.",
    "Classifier error, where nothing is corrected. Corrected figures take errors to depend on the "
    "class and not on the prompt.",
    "Further faces in an image. The largest one counts.",
    "Other prompts, seeds and sampling settings than those the pictures were made with.",
    "How people are portrayed beyond the listed attributes: clothing, posture, expression, "
    "setting, dignity.",
)


@dataclass(frozen=True)
class AuditData:
    """What the audit's page shows; nothing is measured again.

    Attributes:
        title: Heading.
        date: Printed as given.
        facts: Rows at the top, label to value.
        space: Measured attributes with their targets.
        figures: Contents of ``audit.json``.
        table: Contents of the audit's ``prompts.parquet``.
        prompts: Columns prompt_id and prompt.
        images: One row per image: prompt_id, index, model (``audited``), file.
        faces: One row per image, from ``measure_folder``.
        folder: Where the files' paths start.
        false_claims: Rate of false ones among the prompts said to differ from the target.
        shown: Pictures shown of each prompt, the first by index; 0 shows none.
        commands: Shell lines that repeat the audit.
        hashes: Name of a file to its sha256.
        notes: Remarks.
        not_measured: What the reader must not conclude.
    """

    title: str
    date: str
    facts: Mapping[str, str]
    space: AttributeSpace
    figures: Mapping[str, Any]
    table: pd.DataFrame
    prompts: pd.DataFrame
    images: pd.DataFrame
    faces: pd.DataFrame
    folder: Path
    false_claims: float
    shown: int = 40
    commands: Sequence[str] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    not_measured: Sequence[str] = AUDIT_LIMITS


def build_audit_page(data: AuditData) -> str:
    """Render an audit as one HTML document that loads nothing.

    Raises:
        ArtifactError: An image cannot be read, or the tables do not fit together.
    """
    models = (MODEL,)
    readable = data.faces[data.faces["readable"].astype(bool)]
    keys = ["prompt_id", "index"]
    images = data.images.merge(readable[keys], on=keys, how="inner")
    tables = bar_tables(
        readable, data.prompts, data.space, models=models, first=data.space.names[:2]
    )
    source = PictureSource(
        models, data.space, images, readable, {MODEL: data.folder}, max(data.shown, 1)
    )
    views = prompt_views(source, data.prompts, tables) if data.shown else []
    return environment().get_template("page.html.j2").render(
        data=data,
        title=data.title,
        subtitle="audit",
        brand="Evenhand audit",
        lead=LEAD,
        facts=_facts(data),
        models=models,
        cards=audit_cards(data.figures, data.space, data.prompts),
        rates=audit_rates(data.figures),
        confusions=confusions(data.figures, data.space),
        claims=claims_of(data.table),
        prompts=views,
        pictures=picture_data(views, data.space, models),
        at_once=AT_ONCE,
        tables=tables,
        joint=joint_tables({MODEL: data.figures}, data.space, models),
        pages=[
            ("result", "Result", "audit_result"),
            ("reading", "How to read this", "audit_reading"),
            ("pictures", "Pictures", "pictures"),
            ("shares", "Shares per prompt", "shares"),
            ("rates", "No face, undecided", "audit_rates"),
            ("correction", "Correction", "audit_correction"),
            ("limits", "Not measured", "limits"),
            ("reproduce", "Reproduce", "reproduce"),
        ],
    )  # fmt: skip


def _facts(data: AuditData) -> list[tuple[str, str]]:
    figures = data.figures
    return [
        *data.facts.items(),
        *((f"Target: {label_of(n)}", target_text(of)) for n, of in figures["target"].items()),
        ("Images", f"{figures['images']} of {figures['n_prompts']} prompts"),
        *([("Unreadable images", str(figures["unreadable"]))] if figures["unreadable"] else []),
        ("Date", data.date),
    ]
