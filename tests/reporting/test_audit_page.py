"""The audit's page: figures, corrections, claims, pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairness_core.reporting import AuditData, ReportData, build_audit_page
from fairness_core.reporting.summary import number
from tests.reporting.audit_world import audited
from tests.reporting.document import Document


@pytest.fixture(scope="module")
def audit(data: ReportData) -> AuditData:
    return audited(data)


@pytest.fixture(scope="module")
def audit_page(audit: AuditData) -> Document:
    return Document(build_audit_page(audit))


def test_cards_hold_bias_floor_correction_and_the_second_opinion(
    audit_page: Document, audit: AuditData
) -> None:
    cards = audit_page.section("result").all("article")
    for card, key in zip(cards, ("gender", "race", "age", "gender_x_race"), strict=True):
        entry = audit.figures[key]
        told = [entry["bias"], *entry["ci95"], entry["fair_floor"], entry["worst_prompt"]["bias"]]
        told.append(audit.figures["second"][key]["bias"])
        if "bias" in entry["corrected"]:
            told += [entry["corrected"]["bias"], *entry["corrected"]["ci95"]]
        else:
            assert entry["corrected"]["reason"] in card.text
        assert all(number(value) in card.text for value in told)
        assert f"{entry['claims']} of {audit.figures['n_prompts']} prompts differ" in card.text
    assert "Prompts of the list without images: 1 (test-9999)" in audit_page.section("result").text
    facts = {
        e.all("dt")[0].text: e.all("dd")[0].text for e in audit_page.root.all("dl")[0].all("div")
    }
    assert facts["Unreadable images"] == "1"
    assert facts["Target: age"] == "young 75 %, old 25 %"


def test_each_prompt_says_whether_it_differs_from_the_target(
    audit_page: Document, audit: AuditData
) -> None:
    claims = audit.table[audit.table["attribute"] == "gender"].set_index("prompt_id")
    names = dict(zip(audit.prompts["prompt"], audit.prompts["prompt_id"], strict=True))
    rows = audit_page.section("bars-gender").all("tbody")[0].all("tr")
    assert len(rows) == len(claims)
    for row in rows:
        entry = claims.loc[names[row.all("th")[0].text]]
        said = row.all("td", class_="figure")[-1].text
        assert said.startswith("differs" if entry["claim"] else "within chance")


def test_rates_and_matrices_are_outcomes_of_their_own(
    audit_page: Document, audit: AuditData
) -> None:
    rates = audit_page.section("rates").text
    assert number(audit.figures["no_face_rate"]["rate"]) in rates
    assert number(audit.figures["disagreement"]["race"]["rate"]) in rates
    assert "Gender: undecided" in rates
    matrices = audit_page.section("correction").all("table")
    assert len(matrices) == 4
    cells = [[int(td.text) for td in tr.all("td")] for tr in matrices[0].all("tr")[1:]]
    assert cells == audit.figures["gender"]["corrected"]["confusion"]


def test_pictures_are_single_and_the_damaged_one_is_left_out(
    audit_page: Document, audit: AuditData
) -> None:
    section = audit_page.section("pictures")
    assert not section.all("figure", class_="base")
    readable = int(audit.faces["readable"].sum())
    assert len(section.all("figure", class_="audited")) == readable == len(audit.faces) - 1
    assert not section.all("input", type="range")


def test_without_labels_or_pictures_the_page_says_so(data: ReportData) -> None:
    page = Document(build_audit_page(replace(audited(data, labelled=False), shown=0)))
    assert "No labels were given" in page.section("correction").text
    assert "no pictures" in page.section("pictures").text
    assert "Corrected" not in page.section("result").text


def test_it_loads_nothing_and_is_made_the_same_again(
    audit_page: Document, audit: AuditData
) -> None:
    for element in audit_page.root.walk():
        target = element.attributes.get("href") or element.attributes.get("src")
        assert target is None or target.startswith(("#", "data:"))
    assert build_audit_page(audit) == audit_page.source
