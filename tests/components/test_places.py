"""Each step says before it starts what it would not find."""

from __future__ import annotations

import importlib

import pytest

from components.places import OPENS, absent_places, check_places, check_runs
from components.step import arguments, execute
from fairness_core.config import load
from fairness_core.errors import ConfigError
from tests.components.test_bad_input import message
from tests.components.test_outputs import STEPS
from tests.conftest import REPOSITORY

# What of a step's has no single value, or one that is no path.
KEYS = {
    "calibrate_classifier": "calibrate_classifier.train_weights",
    "build_bank": "models.detector",
}


def params(*overrides):
    return load(REPOSITORY / "params.yaml", overrides)


@pytest.mark.parametrize("step", sorted(set(OPENS) & set(STEPS)))
def test_a_step_needs_what_it_opens(here, capsys, step):
    main = importlib.import_module(f"components.{step}.main").main
    key = KEYS.get(step, OPENS[step][0])
    said = message(capsys, main, *STEPS[step], "--set", f"{key}=nowhere.csv")
    assert f"not here. Given: {key}: nowhere.csv." in said


def test_a_step_does_not_ask_for_what_others_open():
    told = ("models.audit_image_text=nowhere", "models.face_embedder=nowhere")
    for step in ("finetune", "evaluate_bias", "report"):
        check_places(params(*told), step)
    for step, more in (("measure_images", ()), ("finetune", ("finetune.lambda_face=0.1",))):
        with pytest.raises(ConfigError, match="nowhere"):
            check_places(params(*told, *more), step)


def test_several_runs_name_all_that_is_not_here_once(tmp_path):
    steps = ("generate_images", "measure_images", "finetune", "build_bank")
    told = ("models.base=nowhere", "models.audit_image_self=gone")
    first, second = params(*told), params(*told, "models.detector=lost")
    said = "models.base: nowhere; models.audit_image_self: gone"
    assert "; ".join(absent_places(first, steps)) == said
    check_runs([(first, ("report",)), (second, ())])
    with pytest.raises(ConfigError, match=rf"Given: {said}; models.detector: lost\. "):
        check_runs([(first, steps), (second, steps)])
    with pytest.raises(ConfigError, match=r"no model of that name ships; did you mean 'base'"):
        check_runs([(first, ()), (params("models.base=portraits:bsae"), ())])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("portraits:bse", "did you mean 'base'"),
        ("portraits:faces/nothing", "portraits:faces has no 'nothing'"),
        ("org/name@main", "needs a commit"),
    ],
)
def test_names_that_are_wrong_everywhere_are_refused_by_every_step(capsys, name, problem):
    parser = arguments("report", "")
    argv = ["--params", str(REPOSITORY / "params.yaml"), "--set", f"models.image_text={name}"]
    assert execute(parser, argv, lambda *_: None) == 1
    said = capsys.readouterr().err
    assert f"models.image_text: {name}: " in said
    assert problem in said
