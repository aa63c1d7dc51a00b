"""The model card: markdown with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairness_core.errors import ConfigError
from fairness_core.reporting.checks import named_checks
from fairness_core.reporting.data import ReportData
from fairness_core.reporting.page import environment, guidance_text
from fairness_core.reporting.summary import gap_rows, label_of
from fairness_core.reporting.tables import before_after_markdown
from fairness_core.reporting.targets import target_text

__all__ = ["CardFacts", "build_card"]


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond the report.

    Attributes:
        base_model: The Hub id or the name of the base model.
        license: SPDX id, lower case, such as ``apache-2.0``.
        summary: One paragraph: what these weights are.
        usage: Python lines that load them.
        tags: Further tags.
        on_hub: Whether ``base_model`` is a Hub id; only then does the front matter name it.
    """

    base_model: str
    license: str
    summary: str
    usage: str
    tags: Sequence[str] = ()
    on_hub: bool = False


def build_card(data: ReportData, card: CardFacts) -> str:
    """Render the model card (``README.md`` of the published folder).

    Args:
        data: The report's data; images and tables of faces are not used.
        card: What the report does not hold.

    Raises:
        ConfigError: No licence, base model or usage is given.
    """
    for name in ("base_model", "license", "usage"):
        if not getattr(card, name).strip():
            raise ConfigError(f"A model card needs '{name}'", do="fill it in")
    aligned = data.space.subset(data.aligned)
    targets = [
        (label_of(a.name), target_text(dict(zip(a.classes, a.target, strict=True))))
        for a in aligned.attributes
    ]
    rendered = (
        environment()
        .get_template("card.md.j2")
        .render(
            data=data,
            card=card,
            front=_front_matter(data, card),
            targets=targets,
            table=before_after_markdown(data.evaluation),
            guidance=guidance_text(data),
            named=named_checks(data.evaluation)[:1],
        )
    )
    return rendered.rstrip() + "\n"


def _front_matter(data: ReportData, card: CardFacts) -> list[str]:
    """YAML lines; every value is a JSON string or number, which YAML reads as such."""
    tags = ["text-to-image", "diffusers", "fairness", *card.tags]
    front: Mapping[str, object] = {
        "license": card.license,
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        **(
            {"base_model": card.base_model, "base_model_relation": "adapter"} if card.on_hub else {}
        ),
        "tags": list(dict.fromkeys(tags)),
        "model-index": [
            {
                "name": data.facts.title,
                "results": [
                    {
                        "task": {"type": "text-to-image"},
                        "dataset": {"type": "prompts", "name": f"held-out prompts ({data.split})"},
                        "metrics": [
                            {
                                "type": f"bias_{row.key}",
                                "name": f"{row.label} bias",
                                "value": round(row.aligned.value, 4),
                            }
                            for row in gap_rows(data.evaluation)
                            if row.aligned.value is not None
                        ],
                    }
                ],
            }
        ],
    }
    return [f"{key}: {json.dumps(value)}" for key, value in front.items()]
