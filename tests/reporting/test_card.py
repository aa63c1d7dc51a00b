from __future__ import annotations

import pytest
import yaml

from fairness_core.errors import ConfigError
from fairness_core.reporting import CardFacts, ReportData, build_card
from fairness_core.reporting.summary import number
from tests.reporting import world

FACTS = CardFacts(
    base_model="runwayml/model: one",
    license="apache-2.0",
    summary="LoRA weights for a text encoder.",
    usage="pipe.load_lora_weights('.')",
    tags=("lora", "portraits"),
    on_hub=True,
)


def test_the_front_matter_is_yaml_that_the_hub_reads(data: ReportData) -> None:
    card = build_card(data, FACTS)
    opening, front, body = card.split("---\n", 2)
    assert opening == ""
    meta = yaml.safe_load(front)
    assert meta["license"] == "apache-2.0"
    assert meta["base_model"] == "runwayml/model: one"
    assert meta["library_name"] == "diffusers"
    assert meta["pipeline_tag"] == "text-to-image"
    assert meta["tags"].count("lora") == 1
    metrics = meta["model-index"][0]["results"][0]["metrics"]
    assert metrics[0]["type"] == "bias_gender"
    assert metrics[0]["value"] == round(data.evaluation["aligned"]["gender"]["bias"], 4)
    assert body.lstrip().startswith("# Portraits, gender and race")


def test_the_card_says_what_the_report_says(data: ReportData) -> None:
    card = build_card(data, FACTS)
    for model in ("base", "aligned"):
        assert number(data.evaluation[model]["race"]["bias"]) in card
    for text in (
        "> Everything here is drawn",
        "**gender**: female 50\u00a0%, male 50\u00a0%",
        "pipe.load_lora_weights('.')",
        "guidance 3, 20 sampling steps, seed 0",
        "still show it in 95\u00a0% of the pictures (base: 96\u00a0%)",
        "- Identity. No figure here says who",
        "make demo",
        "01ab" * 16,
        'does not make the model "unbiased"',
    ):
        assert text in card
    assert "age" not in card.split("## What it does")[1].split("## Use")[0].split("\n- ")[1]
    assert "\n\n\n" not in card


def test_a_card_with_nothing_optional_is_still_whole(data: ReportData) -> None:
    local = CardFacts("portraits:base", "apache-2.0", "Weights.", "load()")
    card = build_card(world.without_extras(data), local)
    assert "base_model" not in yaml.safe_load(card.split("---\n", 2)[1])
    assert "Code revision not given" in card
    assert "\n\n\n" not in card


@pytest.mark.parametrize("name", ["base_model", "license", "usage"])
def test_an_empty_field_is_named(data: ReportData, name: str) -> None:
    values = {"base_model": "b", "license": "l", "summary": "s", "usage": "u", name: " "}
    with pytest.raises(ConfigError, match=f"needs '{name}'"):
        build_card(data, CardFacts(**values))


def test_the_hubs_own_library_reads_the_card(data: ReportData) -> None:
    from huggingface_hub import ModelCard, ModelCardData

    read = ModelCard(build_card(data, FACTS))
    meta = read.data
    assert isinstance(meta, ModelCardData)
    assert (meta.license, meta.library_name) == ("apache-2.0", "diffusers")
    assert (meta.pipeline_tag, meta.base_model) == ("text-to-image", "runwayml/model: one")
    assert meta.eval_results is not None, "the model-index is not in the Hub's form"
    found = {result.metric_type: result.metric_value for result in meta.eval_results}
    for key in ("gender", "race", "age", "gender_x_race"):
        bias = data.evaluation["aligned"][key]["bias"]
        assert found[f"bias_{key}"] == pytest.approx(bias, abs=1e-4)
    # What is written again is what was read: nothing of the front matter is lost.
    assert ModelCard(str(read)).data.to_dict() == meta.to_dict()
    assert read.text.lstrip().startswith("# Portraits, gender and race")
