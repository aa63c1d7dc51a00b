from .audit_page import AuditData, build_audit_page
from .card import CardFacts, build_card
from .data import NOT_MEASURED, Finding, ReportData, RunFacts
from .figures import FORMATS, write_figures
from .finished_runs import FinishedRun, find_runs, keep_run, read_run
from .further import split_findings
from .gradient_curves import Band, bands, draw_bands
from .page import build_page
from .results_markdown import results_page
from .tables import (
    before_after_markdown,
    before_after_table,
    before_after_text,
)
from .targets import target_facts

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
    "split_findings",
    "target_facts",
    "write_figures",
]
