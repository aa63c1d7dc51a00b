"""The report: one HTML page, the before/after table, the README's picture, the model card."""

from __future__ import annotations

from fairness_core.reporting.card import CardFacts, build_card
from fairness_core.reporting.data import NOT_MEASURED, Finding, ReportData, RunFacts
from fairness_core.reporting.further import split_findings
from fairness_core.reporting.page import build_page
from fairness_core.reporting.picture import side_by_side
from fairness_core.reporting.tables import (
    before_after_markdown,
    before_after_table,
    before_after_text,
)
from fairness_core.reporting.targets import target_facts

__all__ = [
    "NOT_MEASURED",
    "CardFacts",
    "Finding",
    "ReportData",
    "RunFacts",
    "before_after_markdown",
    "before_after_table",
    "before_after_text",
    "build_card",
    "build_page",
    "side_by_side",
    "split_findings",
    "target_facts",
]
