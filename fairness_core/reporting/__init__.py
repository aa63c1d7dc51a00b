"""The report: one HTML page, the before/after table, the README's picture, the model card."""

from __future__ import annotations

from fairness_core.reporting.audit_page import AuditData, build_audit_page
from fairness_core.reporting.card import CardFacts, build_card
from fairness_core.reporting.data import NOT_MEASURED, Finding, ReportData, RunFacts
from fairness_core.reporting.figures import FORMATS, write_figures
from fairness_core.reporting.finished_runs import FinishedRun, find_runs, keep_run, read_run
from fairness_core.reporting.further import split_findings
from fairness_core.reporting.gradient_curves import Band, bands, draw_bands
from fairness_core.reporting.page import build_page
from fairness_core.reporting.picture import side_by_side
from fairness_core.reporting.results_page import results_page
from fairness_core.reporting.tables import (
    before_after_markdown,
    before_after_table,
    before_after_text,
)
from fairness_core.reporting.targets import target_facts

__all__ = [
    "FORMATS",
    "NOT_MEASURED",
    "AuditData",
    "Band",
    "CardFacts",
    "Finding",
    "FinishedRun",
    "ReportData",
    "RunFacts",
    "bands",
    "before_after_markdown",
    "before_after_table",
    "before_after_text",
    "build_audit_page",
    "build_card",
    "build_page",
    "draw_bands",
    "find_runs",
    "keep_run",
    "read_run",
    "results_page",
    "side_by_side",
    "split_findings",
    "target_facts",
    "write_figures",
]
