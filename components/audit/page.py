"""The audit's page from what the step holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.audit.subject import Subject
from components.step import CLASSIFIER_WEIGHTS, Settings

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.evaluation import AuditRules

__all__ = ["audit_page"]


def audit_page(
    subject: Subject,
    source: Path,
    prompts: pd.DataFrame,
    faces: pd.DataFrame,
    table: pd.DataFrame,
    figures: Mapping[str, Any],
    space: AttributeSpace,
    rules: AuditRules,
    pictures: int,
    settings: Settings,
) -> str:
    """One HTML document with figures, tables and the first pictures of each prompt."""
    from fairness_core.evaluation import list_images
    from fairness_core.reporting import AuditData, build_audit_page
    from fairness_core.runtime import sha256_file

    folder, images = list_images(source, prompts)
    what = subject.model or str(subject.images)
    facts = {"Audited": what}
    if subject.bundle is not None:
        facts["Weights laid over it"] = str(subject.bundle)
    facts["Prompt list"] = str(subject.prompts)
    names = ("Audit classifier", "Second classifier")
    for name, classifier in zip(names, subject.classifiers, strict=False):
        facts[name] = str(classifier)
    if subject.labels is not None:
        facts["Labels"] = str(subject.labels)
    facts["Seed"] = str(settings.seed)
    return build_audit_page(
        AuditData(
            title=f"Audit of {Path(what).name}",
            date=datetime.now(UTC).date().isoformat(),
            facts=facts,
            space=space,
            figures=figures,
            table=table,
            prompts=prompts,
            images=images,
            faces=faces,
            folder=folder,
            false_claims=rules.false_claims,
            shown=pictures,
            commands=(_command(subject),),
            hashes={
                "prompt list": sha256_file(subject.prompts),
                **{
                    name.lower(): sha256_file(classifier / CLASSIFIER_WEIGHTS)
                    for name, classifier in zip(names, subject.classifiers, strict=False)
                },
            },
        )
    )


def _command(subject: Subject) -> str:
    """The command line that repeats the audit, but for overridden parameters."""
    options: dict[str, object] = {
        "--model": subject.model,
        "--images": subject.images,
        "--bundle": subject.bundle,
        "--prompts": subject.prompts,
        "--classifier": subject.classifiers[0],
        "--second": subject.classifiers[1] if len(subject.classifiers) > 1 else None,
        "--labels": subject.labels,
    }
    words = [f"{name} {value}" for name, value in options.items() if value is not None]
    if subject.trusting:
        words.append("--allow-training-classifier")
    return "evenhand audit " + " ".join(words)
