"""The report: one self-contained HTML file, rendered from templates that only place values."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fairness_core.reporting import svg
from fairness_core.reporting.checks import (
    faceless,
    generated_accuracy,
    named_checks,
    planted_checks,
    quality_checks,
)
from fairness_core.reporting.data import MODELS, ReportData
from fairness_core.reporting.joint import joint_tables
from fairness_core.reporting.measured import Calibration, Curve, calibrations, curves
from fairness_core.reporting.methods import METHOD_QUALITY, method_rows_of
from fairness_core.reporting.prompt_views import AT_ONCE, picture_data, prompt_views
from fairness_core.reporting.robustness import robustness
from fairness_core.reporting.summary import (
    estimate,
    gap_rows,
    interval_text,
    label_of,
    number,
    percent,
)
from fairness_core.reporting.targets import target_text
from fairness_core.reporting.views import bar_tables, headlines

__all__ = ["build_page", "environment", "guidance_text"]

LEAD = Markup(
    "How a text-to-image model portrays people before and after alignment to a stated target: "
    "shares of <em>perceived</em> attributes in generated pictures, for the base model and the "
    "aligned model, from the same prompts and the same noise."
)


def build_page(data: ReportData) -> str:
    """Render the report as one HTML document that loads nothing.

    Args:
        data: What to show; see its attributes for what may be missing.

    Raises:
        ArtifactError: An image cannot be read, or the tables do not fit together.
    """
    tables = bar_tables(
        data.faces, data.shown_prompts, data.space, models=MODELS, first=data.aligned
    )
    views = prompt_views(data.pictures, data.shown_prompts, tables)
    methods = method_rows_of(data.evaluation, data.training)
    robust = robustness(data.evaluation)
    absent = {name for name, found in (("methods", methods), ("robustness", robust)) if not found}
    return environment().get_template("page.html.j2").render(
        data=data,
        title=data.facts.title,
        subtitle="base and aligned compared",
        brand="Evenhand report",
        lead=LEAD,
        facts=_facts(data),
        headlines=headlines(data),
        models=MODELS,
        prompts=views,
        pictures=picture_data(views, data.space, MODELS),
        at_once=AT_ONCE,
        tables=tables,
        claims=None,
        joint=joint_tables(data.evaluation, data.space, MODELS),
        quality=quality_checks(data.evaluation),
        named=named_checks(data.evaluation),
        planted=planted_checks(data.evaluation),
        generated=generated_accuracy(data.evaluation),
        faceless=faceless(data.evaluation),
        methods=methods,
        robust=robust,
        method_groups=[f"{r.label.capitalize()} bias" for r in gap_rows(data.evaluation)],
        method_quality=[label for _, label in METHOD_QUALITY],
        calibrations=calibrations(data.calibration, data.space),
        curves=curves(data.training),
        pages=[(*item, item[0]) for item in _sections() if item[0] not in absent],
    )  # fmt: skip


@functools.cache
def environment() -> Environment:
    """Templates of the page and the card; HTML is escaped, an unknown name is an error."""
    env = Environment(
        loader=PackageLoader("fairness_core.reporting", "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {
        "number": number,
        "percent": percent,
        "interval": interval_text,
        "estimate": estimate,
        "label": label_of,
        "sortable": _sortable,
        "cell": _table_cell,
        "breakable": _breakable,
    }
    env.globals |= {
        "share_bar": svg.share_bar,
        "gap_lane": svg.gap_lane,
        "training_curve": _training_curve,
        "reliability": _reliability,
    }
    return env


def _table_cell(text: object) -> str:
    return str(text).replace("|", "\\|")


def _breakable(text: str) -> Markup:
    """Lets a class name break where its words begin, rather than anywhere."""
    return Markup("<wbr>").join(escape(part) for part in re.split("(?<=[a-z])(?=[A-Z])", text))


def _sortable(gap: float | None) -> str:
    return "-1" if gap is None else f"{gap:.6f}"


def _training_curve(item: Curve) -> Markup:
    return svg.curve(item.x, item.y, label=item.label, smooth=item.smooth)


def _reliability(item: Calibration) -> Markup:
    label = f"Reliability of the {item.role} classifier for {label_of(item.attribute)}"
    return svg.reliability_diagram(item.reliability, label=label)


def _sections() -> Sequence[tuple[str, str]]:
    return (
        ("result", "Result"),
        ("reading", "How to read this"),
        ("pictures", "Pictures"),
        ("shares", "Shares per prompt"),
        ("quality", "Quality"),
        ("robustness", "Robustness"),
        ("methods", "Other methods"),
        ("named", "Named attributes"),
        ("gate", "Release gate"),
        ("calibration", "Classifier"),
        ("training", "Training"),
        ("limits", "Not measured"),
        ("reproduce", "Reproduce"),
    )


def guidance_text(data: ReportData) -> str:
    """The guidance scale, from the evaluation or else from the run's facts."""
    guidance = data.evaluation.get("guidance", data.facts.guidance)
    return "not given" if guidance is None else f"{guidance:g}"


def _facts(data: ReportData) -> list[tuple[str, str]]:
    evaluation = data.evaluation
    target: Mapping[str, Mapping[str, float]] = evaluation.get("target") or {
        a.name: dict(zip(a.classes, a.target, strict=True)) for a in data.space.attributes
    }
    facts = [("Base model", data.facts.model)]
    facts += [
        (
            f"Target: {label_of(name)}",
            target_text(shares) + ("" if name in data.aligned else " (measured, not aligned)"),
        )
        for name, shares in target.items()
    ]
    facts += [
        ("Held-out prompts", str(evaluation.get("n_prompts", len(data.shown_prompts)))),
        ("Images per prompt and model", str(evaluation.get("images_per_prompt", "not given"))),
        ("Guidance scale", guidance_text(data)),
        ("Sampling steps", str(data.facts.steps)),
        ("Sampler", data.facts.sampler or "not given"),
        ("Seed", str(data.facts.seed)),
        *data.facts.more.items(),
        ("Code revision", data.facts.revision or "not given"),
        ("Date", data.facts.date),
    ]
    return facts
