"""Libraries stay offline unless a parameter names a model of the hub."""

import json
import os

import pytest

from components import step
from components.step import arguments, execute


@pytest.mark.parametrize(
    ("base", "offline"),
    [("portraits:base", "1"), ("a/folder", "1"), ("org/name@" + "0" * 40, None)],
)
def test_only_a_model_of_the_hub_permits_fetching(monkeypatch, base, offline):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    seen = []

    def work(args, params, settings):
        seen.append((params.models.base, os.environ.get("HF_HUB_OFFLINE")))

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(step, "check_places", lambda *_: None)
    assert execute(arguments("finetune", ""), ["--set", f"models.base={base}"], work) == 0
    assert seen == [(base, offline)]


@pytest.mark.parametrize("role", ["train_network", "audit_network"])
def test_a_classifier_of_the_hub_permits_fetching_as_well(monkeypatch, role):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    place = f"org/name@{'0' * 40}"
    ready = ", ".join(f"{name}: {place}" for name in ("gender", "race", "age"))
    for told, offline in ((f"{{{ready}}}", None), ("resnet50", "1")):
        os.environ.pop("HF_HUB_OFFLINE", None)
        options = ["--set", f"calibrate_classifier.{role}={told}"]
        assert execute(arguments("calibrate_classifier", ""), options, lambda *_: None) == 0
        assert os.environ.get("HF_HUB_OFFLINE") == offline


def test_a_task_that_reads_no_models_stays_offline(monkeypatch, tmp_path):
    """A pipeline gives a task only what it reads."""
    from fairness_core.config import load

    monkeypatch.setattr(os, "environ", dict(os.environ))
    params = load("params.yaml", [f"models.base=org/name@{'0' * 40}"])
    for sections, offline in ((("run", "publish"), "1"), (("run", "models"), None)):
        os.environ.pop("HF_HUB_OFFLINE", None)
        part = {name: params.section(name) for name in sections}
        (tmp_path / "part.json").write_text(json.dumps(part))
        options = ["--part", "--params", str(tmp_path / "part.json")]
        assert execute(arguments("publish", ""), options, lambda *_: None) == 0
        assert os.environ.get("HF_HUB_OFFLINE") == offline


def test_so_does_a_model_of_the_hub_that_is_audited(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    parser = arguments("audit", "")
    parser.add_argument("--model")
    for told, offline in ((f"org/name@{'0' * 40}", None), ("portraits:base", "1")):
        os.environ.pop("HF_HUB_OFFLINE", None)
        assert execute(parser, ["--model", told], lambda *_: None) == 0
        assert os.environ.get("HF_HUB_OFFLINE") == offline
    assert execute(parser, [], lambda *_: None) == 0


def test_who_asked_to_stay_offline_does(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "HF_HUB_OFFLINE": "1"})
    options = ["--set", "models.base=org/name@" + "0" * 40]
    assert execute(arguments("finetune", ""), options, lambda *_: None) == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"
