from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fairness_core.errors import ArtifactError
from fairness_core.metrics import wilson
from fairness_core.reporting import ReportData, build_page
from fairness_core.reporting.summary import number, percent
from tests.reporting import world
from tests.reporting.document import Document
from tests.reporting.world import SPACE

SECTIONS = [
    "result",
    "reading",
    "pictures",
    "shares",
    "quality",
    "named",
    "gate",
    "calibration",
    "training",
    "limits",
    "reproduce",
]


def test_the_page_loads_nothing(page: Document) -> None:
    for element in page.root.walk():
        for name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            target = element.attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (element.tag, target)
    assert "@import" not in page.source
    assert not re.search(r"url\(", page.source)
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest", page.source)
    policy = [e for e in page.root.all("meta") if "http-equiv" in e.attributes]
    assert "default-src 'none'" in policy[0].attributes["content"]


def test_the_page_is_small(page: Document, data: ReportData) -> None:
    shown = len(data.shown_prompts) * data.images_per_prompt * 2
    assert len(page.source) < 150_000 + 6_000 * shown


def test_sections_come_in_order_and_the_contents_name_them(page: Document) -> None:
    assert [e.attributes["id"] for e in page.root.all("section")] == SECTIONS
    links = page.root.all("nav")[0].all("a")
    assert [e.attributes["href"] for e in links] == [f"#{name}" for name in SECTIONS]


def test_a_class_name_breaks_where_its_words_begin(data: ReportData) -> None:
    facts = replace(data.facts, sampler="DPMSolverMultistepScheduler", model="<b>Base")
    html = build_page(replace(data, facts=facts))
    assert "<dd>DPMSolver<wbr>Multistep<wbr>Scheduler</dd>" in html
    assert "<dd>&lt;b&gt;Base</dd>" in html


def test_the_top_states_the_run(page: Document, data: ReportData) -> None:
    facts = {e.all("dt")[0].text: e.all("dd")[0].text for e in page.root.all("dl")[0].all("div")}
    assert facts["Base model"] == "portraits:base"
    assert facts["Target: gender"] == "female 50 %, male 50 %"
    assert facts["Target: age"] == "young 75 %, old 25 % (measured, not aligned)"
    assert facts["Held-out prompts"] == "3"
    assert facts["Images per prompt and model"] == "6"
    assert facts["Guidance scale"] == "3"
    assert facts["Sampling steps"] == "20"
    assert facts["Seed"] == "0"
    assert facts["Code revision"] == "43b0e8f"
    assert facts["Date"] == "2026-11-23"
    assert facts["Audit classifier"] == "mobilenet, fitted separately"
    assert "Everything here is drawn" in page.root.all("header")[0].text


def test_the_headline_is_the_evaluation(page: Document, data: ReportData) -> None:
    cards = page.section("result").all("article")
    assert [c.all("h3")[0].text.split(" measured")[0] for c in cards] == [
        "Gender",
        "Race",
        "Gender \u00d7 race",
        "Age",
    ]
    for card, key in zip(cards, ("gender", "race", "gender_x_race", "age"), strict=True):
        for model in ("base", "aligned"):
            entry = data.evaluation[model][key]
            low, high = entry["ci95"]
            assert number(entry["bias"]) in card.all("p", class_="big")[0].text
            assert f"{number(low)} to {number(high)}" in card.text
            assert number(entry["fair_floor"]) in card.all("p", class_="floor-note")[0].text
        change = data.evaluation["change"][key]
        if change["reduction_to_floor"] is None:
            assert "is not given" in card.text
        else:
            assert percent(abs(change["reduction_to_floor"])).replace("\u00a0", " ") in card.text
    assert "measured, not aligned" in cards[3].text
    assert "target is not uniform" in cards[3].text


@pytest.mark.parametrize(
    ("reduction", "says"),
    [
        (0.75, "75 % of the distance to the floor is gone (95 %: 60 % to 90 %)"),
        (1.08, "All of the distance to the floor is gone; the bias lies below it (108 %"),
        (-0.2, "The distance to the floor grew by 20 %"),
        (None, "How much of the distance to the floor is gone is not given"),
    ],
)
def test_the_reduction_is_worded_by_its_sign(
    small: ReportData, reduction: float | None, says: str
) -> None:
    change = {"gender": {"reduction_to_floor": reduction, "ci95": [0.6, 0.9]}}
    page = Document(build_page(replace(small, evaluation={**small.evaluation, "change": change})))
    card = page.section("result").all("article")[0]
    assert says in card.text


def test_prompts_without_any_face_are_told(small: ReportData) -> None:
    base = {**small.evaluation["base"], "prompts_without_face": ["test-0001"]}
    page = Document(build_page(replace(small, evaluation={**small.evaluation, "base": base})))
    assert "1 prompt of the base model shows no face" in page.section("result").text


def test_every_prompt_has_its_pairs_with_boxes_and_classes(
    page: Document, data: ReportData
) -> None:
    prompts = page.section("pictures").all("details")
    assert len(prompts) == 3
    sprites = page.section("pictures").all("image")
    assert len(sprites) == 2 * 3
    assert all(s.attributes["href"].startswith("data:image/webp;base64,") for s in sprites)
    for prompt in prompts:
        assert len(prompt.all("li")) == 4
        assert len(prompt.all("svg", role="img")) == 2 * 4
        assert {u.attributes["href"][1:] for u in prompt.all("use")} == {
            s.attributes["id"] for s in prompt.all("image")
        }
    no_face = [e for e in page.root.walk() if "no face found" in e.attributes.get("aria-label", "")]
    assert [e.attributes["aria-label"] for e in no_face] == ["Base, image 2: no face found"]
    assert not no_face[0].all("rect")
    assert len(page.section("pictures").all("rect", class_="under")) == 3 * 8 - 1


def test_a_box_is_drawn_where_the_table_says(page: Document, data: ReportData) -> None:
    subject = page.section("pictures").all("details")[0].all("h3")[0].text
    prompt_id = data.prompts.set_index("subject").loc[subject, "prompt_id"]
    faces = data.faces[(data.faces["prompt_id"] == prompt_id) & data.faces["present"]]
    row = faces[(faces["model"] == "aligned") & (faces["index"] == 1)].iloc[0]
    pair = page.section("pictures").all("details")[0].all("li")[1]
    picture = pair.all("figure", class_="aligned")[0].all("svg")[0]
    box = picture.all("rect")[0].attributes
    drawn = [float(box[key]) for key in ("x", "y", "width", "height")]
    assert drawn == pytest.approx(
        [row["x0"] * 3, row["y0"] * 3, (row["x1"] - row["x0"]) * 3, (row["y1"] - row["y0"]) * 3]
    )
    label = picture.attributes["aria-label"]
    assert label.startswith("Aligned, image 1: perceived ")
    assert all(f"{row[name]} (0.91)" in label for name in data.space.names)


def test_bars_state_share_interval_target_and_gap(page: Document, data: ReportData) -> None:
    table = page.section("bars-gender")
    rows = table.all("tbody")[0].all("tr")
    gaps = [float(row.attributes["data-base"]) for row in rows]
    assert gaps == sorted(gaps, reverse=True)
    subjects = data.prompts.set_index("subject")["prompt_id"]
    faces = data.faces[data.faces["present"]]
    for row in rows:
        prompt_id = subjects[row.all("th")[0].text]
        for model, cell in zip(("base", "aligned"), row.all("td", class_="shares"), strict=True):
            seen = faces[(faces["prompt_id"] == prompt_id) & (faces["model"] == model)]["gender"]
            hits, n = int((seen == "female").sum()), len(seen)
            low, high = (float(end) for end in wilson(hits, n))
            assert number(hits / n, 2) in cell.all("span", class_="figure")[0].text
            spoken = cell.all("span", class_="vh")[-1].text
            assert f"{number(low, 2)} to {number(high, 2)}, target 0.50" in spoken
            if n != 6:
                assert f"{n} faces in 6 images" in cell.text
            width = cell.all("rect", class_="fill")[0].attributes["width"]
            assert float(width.rstrip("%")) == pytest.approx(100 * hits / n, abs=0.01)


def test_four_classes_have_four_bars_and_the_joint_table_eight(page: Document) -> None:
    for key, bars in (("bars-race", 4), ("bars-gender-x-race", 8), ("bars-age", 1)):
        row = page.section(key).all("tbody")[0].all("tr")[0]
        assert [len(cell.all("li")) for cell in row.all("td", class_="shares")] == [bars, bars]


def test_quality_named_and_planted_are_the_evaluation(page: Document) -> None:
    quality = page.section("quality").text
    for text in ("0.312", "0.309 [0.305 to 0.314]", "0.812", "0.733", "0.021", "0.018", "61"):
        assert text in quality
    assert "\u22120.003 [\u22120.004 to \u22120.002]" in quality
    assert "0.057 [0.044 to 0.071]" in quality
    assert "0.046 [0.039, 0.055]" in quality
    named = page.section("named").text
    for text in ("0.962 [0.945 to 0.977]", "0.951", "0.989 [0.972 to 1.004]", "Gender", "0.931"):
        assert text in named


def test_calibration_states_accuracy_ece_and_reliability(page: Document, data: ReportData) -> None:
    section = page.section("calibration")
    cards = section.all("article")
    assert len(cards) == 6
    assert [c.all("h3")[0].text for c in cards[:3]] == ["Gender audit", "Race audit", "Age audit"]
    assert "ECE 0.041 before, 0.009 after" in cards[0].text
    assert data.calibration is not None
    groups = data.calibration["audit"]["gender"]["groups"]
    own, others = cards[0].all("table")
    assert [row.all("th")[0].text for row in own.all("tr")[1:]] == ["all", "female", "male"]
    assert number(groups["gender=female"]["accuracy"]) in own.all("tr")[2].text
    assert len(others.all("tr")) == 1 + 4 + 2 + 16
    rest = {name: g["accuracy"] for name, g in groups.items() if not name.startswith("gender=")}
    assert f"lowest {number(min(rest.values()))}" in cards[0].all("summary")[0].text
    diagram = cards[0].all("svg", role="img")[0]
    assert len(diagram.all("circle")) == 7
    assert "0.974 [0.951 to 0.987]" in section.text


def test_training_limits_and_commands_are_shown(page: Document) -> None:
    curves = page.section("training").all("figure")
    assert [c.all("figcaption")[0].text for c in curves] == [
        "Loss: align",
        "Loss: image",
        "Bias of the batch: gender",
        "Share of faces used: gender",
        "Share of images with a face",
    ]
    assert "Identity. No figure here says who" in page.section("limits").text
    assert "make demo" in page.section("reproduce").text
    assert "01ab" * 16 in page.section("reproduce").text


def test_the_page_can_be_used_without_seeing_it(page: Document) -> None:
    ids = [e.attributes["id"] for e in page.root.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for name in ("header", "nav", "main", "footer", "h1"):
        assert len(page.root.all(name)) == 1
    assert page.root.all("html")[0].attributes["lang"] == "en"
    levels = [int(e.tag[1]) for e in page.root.walk() if re.fullmatch(r"h[1-6]", e.tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.root.all("table"):
        assert table.all("caption")[0].text
        assert all("scope" in head.attributes for head in table.all("th"))
    for svg in page.root.all("svg"):
        hidden = svg.attributes.get("aria-hidden") == "true"
        assert hidden or (svg.attributes["role"] == "img" and svg.attributes["aria-label"])
    for section in page.root.all("section"):
        assert section.attributes["aria-labelledby"] in ids


def test_without_javascript_no_dead_control_is_shown(page: Document) -> None:
    for control in page.root.all("input") + page.root.all("select") + page.root.all("button"):
        holder: object = control
        hidden = False
        while isinstance(holder, type(control)):
            hidden |= "hidden" in holder.attributes
            hidden |= holder.tag == "dialog" and "open" not in holder.attributes
            holder = holder.parent
        assert hidden or control.attributes.get("id") == "boxes"
    assert "body:has(#boxes:not(:checked)) .pairs .box" in page.source


def test_text_from_tables_is_escaped(small: ReportData) -> None:
    attack = '<script>alert(1)</script> & "sons"'
    prompts = small.prompts.assign(subject=attack, prompt=attack + small.prompts["prompt_id"])
    page = Document(
        build_page(
            replace(
                small,
                prompts=prompts,
                notes=(attack,),
                commands=(attack,),
                hashes={attack: attack},
                facts=replace(small.facts, title=attack),
            )
        )
    )
    assert len(page.root.all("script")) == 2
    assert page.root.all("h1")[0].text == attack
    assert page.section("pictures").all("h3")[0].text == attack
    assert page.section("pictures").all("details")[0].attributes["data-name"] == attack


def test_every_optional_part_may_be_missing_and_is_said_to_be(data: ReportData) -> None:
    page = Document(build_page(world.without_extras(data)))
    assert [e.attributes["id"] for e in page.root.all("section")] == SECTIONS
    result = page.section("result").text
    assert number(data.evaluation["aligned"]["gender"]["bias"]) in result
    assert "no interval given" in result
    assert "Fair-sampler floor: not given" in result
    for name, says in {
        "quality": "No figure of quality was given",
        "named": "Not measured in this run",
        "calibration": "how often the classifier is wrong is not known",
        "training": "No training log was given",
        "limits": "The run did not say",
        "reproduce": "No hashes were given",
    }.items():
        assert says in page.section(name).text
    label = page.section("pictures").all("svg", role="img")[0].attributes["aria-label"]
    assert "(" not in label
    assert "nan" not in page.root.text.lower().replace("maintenance", "")


def test_guidance_may_come_from_the_facts(small: ReportData) -> None:
    bare = world.without_extras(small)
    page = Document(build_page(replace(bare, facts=replace(bare.facts, guidance=7.5))))
    assert "7.5" in page.root.all("dl")[0].text


def test_a_prompt_without_faces_keeps_its_row(data: ReportData) -> None:
    gone = data.faces["prompt_id"] == "test-0001"
    faces = data.faces.assign(present=data.faces["present"] & ~gone)
    page = Document(build_page(replace(data, faces=faces)))
    row = page.section("bars-gender").all("tbody")[0].all("tr")[-1]
    assert row.all("th")[0].text == data.prompts["subject"][1]
    assert "no face in 6 images" in row.text
    assert row.attributes["data-base"] == "-1"


def test_an_image_that_cannot_be_read_is_named(data: ReportData, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot be read.*images/test-000\d-000\.png"):
        build_page(replace(data, folders={"base": tmp_path, "aligned": tmp_path}))
    name = str(data.images["file"].iloc[0])
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(ArtifactError, match="cannot be read"):
        build_page(replace(data, folders={"base": tmp_path, "aligned": tmp_path}))


def test_the_same_data_give_the_same_page(data: ReportData, page: Document) -> None:
    assert build_page(data) == page.source


def test_more_pictures_than_are_shown_at_once_come_as_data(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = world.make(tmp_path_factory.mktemp("ten"), prompts=1, images=10, drawn=10)
    page = Document(build_page(data))
    assert len(page.section("pictures").all("li")) == 8
    assert "Show all 10 pairs" in page.section("pictures").text
    (store,) = [e for e in page.root.all("script") if e.attributes.get("type")]
    (text,) = store.children
    held = json.loads(str(text))
    assert held["attributes"][0] == ["gender", ["female", "male"]]
    (grid,) = held["grids"]
    assert grid["indices"] == list(range(10))
    faces = data.faces[(data.faces["model"] == "base") & (data.faces["index"] == 9)].iloc[0]
    row = grid["rows"]["base"][9]
    box = [faces["x0"], faces["y0"], faces["x1"] - faces["x0"], faces["y1"] - faces["y0"]]
    assert row[:4] == [round(1000 * edge / 32) for edge in box]
    seen = [a.classes[k] for a, k in zip(data.space.attributes, row[4:7], strict=True)]
    assert seen == [faces[name] for name in data.space.names]
    assert row[7:9] == [round(100 * faces[f"p_gender_{name}"]) for name in ("female", "male")]
    assert grid["rows"]["base"][2] == 0  # no face there


def test_mean_shares_stand_beside_the_target_in_a_joint_table(small: ReportData) -> None:
    shares = {
        name: (k + 1) / 36 for k, name in enumerate(SPACE.subset(["gender", "race"]).cell_names)
    }
    evaluation = {
        model: {**entry, "gender_x_race": {**entry["gender_x_race"], "shares": shares}}
        if model in ("base", "aligned")
        else entry
        for model, entry in small.evaluation.items()
    }
    page = Document(build_page(replace(small, evaluation=evaluation)))
    (table,) = page.section("shares").all("table", class_="joint")
    rows = table.all("tbody")[0].all("tr")
    assert [row.all("th")[0].text for row in rows] == ["female", "male"]
    assert [len(row.all("td")) for row in rows] == [4, 4]
    assert "0.22" in rows[1].all("td")[3].text
    assert "0.125" in rows[0].all("td")[0].text
