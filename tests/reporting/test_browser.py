"""Report and audit page in headless Chromium, from a file: widths, themes, controls, axe-core."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairness_core.reporting import build_audit_page, build_page
from tests.helpers.browser import Browser, needs_chromium
from tests.reporting import world
from tests.reporting.audit_world import audited
from tests.reporting.test_robustness import extras

pytestmark = [pytest.mark.integration, needs_chromium, pytest.mark.timeout(900)]

WIDTHS = ((390, 844), (820, 1180), (1440, 900))
AXE = "axe-core@4.14.1"
# Sub-pixel rounding of percentages.
ROUNDING = 1
SHOWN = "[...document.querySelectorAll('.prompt')].filter(p => !p.hidden).map(p => p.dataset.name)"
WIDE = """[...document.querySelectorAll('main *')].filter(e =>
  e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest('svg, .scroll, pre, thead, .vh, dialog')).map(e => e.tagName + '.' + e.className)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    data = world.make(folder / "run", prompts=6, images=24, drawn=12)
    data = replace(data, evaluation={**data.evaluation, **extras()})
    (folder / "report.html").write_text(build_page(data), encoding="utf-8")
    (folder / "audit.html").write_text(build_audit_page(audited(data)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def shown(browser: Browser, pages: Path, name: str = "report") -> Browser:
    browser.open(f"file://{pages}/{name}.html")
    return browser


def choose(browser: Browser, field: str, value: str) -> None:
    kind = "change" if field in ("which", "order") else "input"
    browser.run(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('{kind}')); }})"
        f"(document.getElementById('{field}'))"
    )


@pytest.mark.parametrize("name", ["report", "audit"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits_every_width_in_both_themes(
    browser: Browser, pages: Path, name: str, theme: str
) -> None:
    browser.prefer(prefers_color_scheme=theme)
    for width, height in WIDTHS:
        browser.size(width, height)
        shown(browser, pages, name)
        browser.shot(pages / f"{name}-{width}-{theme}.png")
        assert browser.run("document.documentElement.scrollWidth") <= width + ROUNDING
        assert browser.run(WIDE) == []
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(251, 250, 247)" if theme == "light" else "rgb(19, 20, 23)")
    browser.prefer(prefers_color_scheme="light")
    assert browser.complaints() == []


def test_the_theme_can_be_chosen(browser: Browser, pages: Path) -> None:
    browser.prefer(prefers_color_scheme="dark")
    shown(browser, pages)
    found = [
        browser.run(
            "document.getElementById('theme').click();"
            "[document.getElementById('theme').textContent,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        for _ in range(3)
    ]
    browser.prefer(prefers_color_scheme="light")
    assert [text for text, _ in found] == ["Theme: light", "Theme: dark", "Theme: automatic"]
    assert [paper for _, paper in found] == ["rgb(251, 250, 247)"] + ["rgb(19, 20, 23)"] * 2


def test_prompts_are_found_narrowed_and_ordered(browser: Browser, pages: Path) -> None:
    browser.size(1440, 900)
    shown(browser, pages)
    everything = browser.run(SHOWN)
    assert len(everything) == 6
    choose(browser, "filter", everything[2].upper())
    assert browser.run(SHOWN) == [everything[2]]
    assert browser.run("document.getElementById('found').textContent").startswith("1 of 6 prompts")
    rows = "[...document.querySelectorAll('#bars-gender tbody tr')].filter(r => !r.hidden).length"
    assert browser.run(rows) == 1
    choose(browser, "filter", "no such prompt")
    assert browser.run(SHOWN) == []
    assert browser.run("document.getElementById('nothing').hidden") is False
    choose(browser, "filter", "")
    choose(browser, "which", "misses")
    off = browser.run("[...document.querySelectorAll('.prompt[data-misses]')].length")
    assert len(browser.run(SHOWN)) == off < 6
    choose(browser, "which", "")
    choose(browser, "order", "name")
    assert browser.run(SHOWN) == sorted(everything)
    choose(browser, "order", "aligned")
    gaps = browser.run("[...document.querySelectorAll('.prompt')].map(p => +p.dataset.aligned)")
    assert gaps == sorted(gaps, reverse=True)


def test_a_table_is_sorted_by_its_heads(browser: Browser, pages: Path) -> None:
    shown(browser, pages)
    gaps = "[...document.querySelectorAll('#bars-race tbody tr')].map(r => +r.dataset.aligned)"
    press = "document.querySelector('#bars-race th[data-sort=aligned] button').click()"
    browser.run(press)
    assert browser.run(gaps) == sorted(browser.run(gaps), reverse=True)
    browser.run(press)
    assert browser.run(gaps) == sorted(browser.run(gaps))
    head = "document.querySelector('#bars-race th[data-sort=aligned]').getAttribute('aria-sort')"
    assert browser.run(head) == "ascending"


def test_a_picture_opens_with_its_box_its_probabilities_and_a_slider(
    browser: Browser, pages: Path
) -> None:
    browser.size(1440, 900)
    shown(browser, pages)
    browser.run("document.querySelector('.pairs li:nth-child(2) .tile').focus()")
    browser.press("Enter")
    browser.run("document.activeElement.click()")  # headless: Enter alone does not click
    assert browser.run("document.getElementById('viewer').open")
    assert browser.run("document.activeElement.id") == "v-slider"
    assert "2 of 12" in browser.run("document.getElementById('v-place').textContent")
    assert browser.run("document.querySelectorAll('#v-stage rect.box').length") == 4
    table = browser.run("document.getElementById('v-table').innerText")
    assert "0.91" in table
    assert all(name in table.lower() for a in world.SPACE.attributes for name in a.classes)

    def clip() -> str:
        return str(browser.run("getComputedStyle(document.querySelector('.layer.base')).clipPath"))

    assert "50%" in clip()
    before = clip()
    browser.press("ArrowRight")
    assert browser.run("document.getElementById('v-slider').value") == "51"
    assert clip() != before
    spot = browser.run(
        "(r => [r.left + r.width * .2, r.top + r.height / 2])"
        "(document.getElementById('v-stage').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left",
            buttons=1, clickCount=1,
        )  # fmt: skip
    assert browser.run("document.getElementById('v-slider').value") == "20"
    browser.run("document.getElementById('v-next').click()")
    assert "3 of 12" in browser.run("document.getElementById('v-place').textContent")
    browser.run("document.getElementById('v-close').click()")
    assert browser.run("document.activeElement.className") == "tile"


def test_the_rest_of_the_pictures_comes_on_request(browser: Browser, pages: Path) -> None:
    shown(browser, pages)
    count = "document.querySelector('.pairs').children.length"
    assert browser.run(count) == 8
    browser.run("document.querySelector('button.all').click()")
    assert browser.run(count) == 12
    last = browser.run("document.querySelector('.pairs li:last-child svg').outerHTML")
    assert "perceived" in last
    labels = browser.run(
        "[...document.querySelectorAll('.pairs li:nth-child(12) svg')]"
        ".map(s => s.getAttribute('aria-label'))"
    )
    assert [label.split(":")[0] for label in labels[:2]] == ["Base, image 11", "Aligned, image 11"]
    assert browser.complaints() == []


def test_the_audits_pictures_open_too(browser: Browser, pages: Path) -> None:
    shown(browser, pages, "audit")
    browser.run("document.querySelector('.tile').click()")
    assert browser.run("document.getElementById('viewer').open")
    assert browser.run("document.querySelector('#v-stage .audited svg') !== null")
    assert browser.run("document.getElementById('v-slider')") is None
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checker's source, from npm: it is no part of this repository."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here to bring axe-core")
    folder = tmp_path_factory.mktemp("axe")
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", AXE]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm did not bring axe-core: {done.stderr[-300:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report", "audit"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Browser, pages: Path, axe: str, name: str, theme: str
) -> None:
    browser.prefer(prefers_color_scheme=theme)
    for width, height in (WIDTHS[0], WIDTHS[2]):
        browser.size(width, height)
        shown(browser, pages, name)
        browser.run(axe + ";0")
        for state in ("page", "viewer"):
            if state == "viewer":
                browser.run("document.querySelector('.tile').click()")
            found = browser.run(
                "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations"
                ".map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]))"
            )
            serious = [v for v in found if v[0] in ("serious", "critical")]
            assert serious == [], (state, width, theme)
    browser.prefer(prefers_color_scheme="light")
