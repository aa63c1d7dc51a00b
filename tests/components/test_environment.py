"""Libraries stay offline unless a parameter names a model of the hub."""

import os

import pytest

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
    assert execute(arguments("finetune", ""), ["--set", f"models.base={base}"], work) == 0
    assert seen == [(base, offline)]


def test_who_asked_to_stay_offline_does(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "HF_HUB_OFFLINE": "1"})
    options = ["--set", "models.base=org/name@" + "0" * 40]
    assert execute(arguments("finetune", ""), options, lambda *_: None) == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"
