from __future__ import annotations

from pathlib import Path

import pytest

from fairness_core.reporting import ReportData, build_page
from tests.reporting import world
from tests.reporting.document import Document


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def data(folder: Path) -> ReportData:
    return world.make(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return world.make(tmp_path_factory.mktemp("small"), prompts=1, images=3, drawn=1)


@pytest.fixture(scope="module")
def page(data: ReportData) -> Document:
    return Document(build_page(data))
