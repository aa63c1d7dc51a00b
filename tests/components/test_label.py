"""The labelling page: over HTTP, and by keyboard in a headless browser where there is one."""

from __future__ import annotations

import csv
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from components.label.main import choose, main
from components.label.server import LabelServer
from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation import read_labels, write_png
from tests.helpers.browser import Browser, needs_chromium

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for prompt in ("a", "b"):
        for i in range(2):
            pixels = draw.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            write_png(pixels, tmp_path / "set" / prompt / f"{i}.png")
    (tmp_path / "prompts.csv").write_text("prompt_id,prompt\na,a nurse\nb,a guard\n")
    return tmp_path


@pytest.fixture
def served(folder):
    """A running page and its server."""
    root, files = choose(folder / "set", folder / "prompts.csv", None, 0)
    server = LabelServer(root, files, SPACE, folder / "labels.csv", 0)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, path, answer=None, **headers):
    data = None if answer is None else json.dumps(answer).encode()
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.address + path, data, kind | headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def rows(folder):
    with (folder / "labels.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_answer_is_saved_and_the_sheet_is_the_audits(folder, served):
    status, page = ask(served, "")
    assert (status, b"<!doctype html>" in page[:20]) == (200, True)
    task = json.loads(ask(served, "task")[1])
    assert [a["name"] for a in task["attributes"]] == ["gender", "age"]
    assert [image["done"] for image in task["images"]] == [False] * 4
    assert b"nurse" not in ask(served, "task")[1]
    assert ask(served, "image/0")[1] == (served.folder / served.files[0]).read_bytes()
    both = {"gender": "male", "age": "old"}
    assert ask(served, "label", {"image": 0, "face": "yes", "labels": both})[0] == 200
    assert ask(served, "label", {"image": 1, "face": "no"})[0] == 200
    assert ask(served, "label", {"image": 2, "face": "yes", "labels": {"age": "young"}})[0] == 200
    assert ask(served, "label", {"image": 0, "face": "yes", "labels": {"gender": "male"}})[0] == 200
    table = read_labels(folder / "labels.csv", SPACE).set_index("file")
    found = table.loc[served.files[:3]].fillna("").to_numpy().tolist()
    assert found == [["yes", "male", ""], ["no", "", ""], ["yes", "", "young"]]
    assert [i["done"] for i in json.loads(ask(served, "task")[1])["images"]] == [True] * 3 + [False]
    again = LabelServer(served.folder, served.files, SPACE, folder / "labels.csv", 0)
    again.server_close()
    assert again.labelled == 3


def test_only_this_machine_asks_and_only_listed_images_are_given(served):
    assert served.server_address[0] == "127.0.0.1"
    assert ask(served, "task", Host="evil.example")[0] == 403
    assert ask(served, "image/99")[0] == 404
    assert ask(served, "image/../prompts.csv")[0] == 404
    good = {"image": 0, "face": "no"}
    assert ask(served, "label", good, **{"Content-Type": "text/plain"})[0] == 400
    for bad, reason in [
        ([], b"whether there is a face"),
        ({"image": 9, "face": "yes"}, b"no such image"),
        ({"image": True, "face": "yes"}, b"no such image"),
        ({"image": 0, "face": "yes", "labels": {"size": "x"}}, b"not asked"),
        ({"image": 0, "face": "yes", "labels": {"age": "x"}}, b"no class of age"),
    ]:
        status, said = ask(served, "label", bad)
        assert (status, reason in said) == (400, True)
    assert not served.out.exists()


def test_the_order_does_not_follow_the_prompts_and_may_stop_early(folder):
    orders = {tuple(choose(folder / "set", folder / "prompts.csv", None, s)[1]) for s in range(5)}
    assert len(orders) > 1
    assert len(choose(folder / "set", None, 3, 0)[1]) == 3


def test_ports_and_counts_that_cannot_be(folder, repository, capsys):
    argv = ["--params", str(repository / "params.yaml"), "--images", str(folder / "set")]
    argv += ["--out", str(folder / "labels.csv")]
    for port in ("99999", "-1"):
        assert main([*argv, "--port", port]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: The page cannot be served")
        assert f"Given: {port}. What to do: choose another --port" in said
    for count in ("0", "-3"):
        with pytest.raises(SystemExit) as ended:
            main([*argv, "--count", count])
        assert ended.value.code == 2
        assert f"argument --count: must be 1 or more; given {count}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,face,gender\nx,yes,male\n", "lack the columns age"),
        ("file,face,gender,age\nx,yes,robot,\n", "Labels of 'gender' that do not exist.*robot"),
        ("file,face,gender,age\nx,perhaps,,\n", "Labels of 'face'"),
        ("file,face,gender,age\nx,no,,\nx,no,,\n", "labelled twice"),
    ],
)
def test_unsound_sheets_are_refused(tmp_path, text, problem):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(ArtifactError, match=problem):
        read_labels(tmp_path / "l.csv", SPACE)
    with pytest.raises(ArtifactError, match="run evenhand label"):
        read_labels(tmp_path / "none.csv", SPACE)


@pytest.mark.integration
@needs_chromium
def test_a_person_labels_with_the_keyboard_alone(folder, served, tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        browser.call("Page.navigate", url=served.address)
        browser.wait(lambda: "Image 1 of 4" in browser.text())
        browser.press("2", "1")  # male, young
        browser.wait(lambda: "Image 2 of 4" in browser.text())
        browser.press("n")
        browser.wait(lambda: "Image 3 of 4" in browser.text())
        browser.press("1", "u")  # female, cannot tell
        browser.wait(lambda: "Image 4 of 4" in browser.text())
        browser.press("Backspace")
        browser.wait(lambda: "Image 3 of 4" in browser.text())
        browser.press("1", "2")  # female, old
        browser.wait(lambda: "Image 4 of 4" in browser.text())
        browser.press("9", "x", "n")
        browser.wait(lambda: "All 4 images are labelled" in browser.text())
    finally:
        browser.close()
    table = {row.pop("file"): list(row.values()) for row in rows(folder)}
    assert [table[file] for file in served.files] == [
        ["yes", "male", "young"],
        ["no", "", ""],
        ["yes", "female", "old"],
        ["no", "", ""],
    ]
