from __future__ import annotations

import re

import pytest

from fairness_core.config import load
from fairness_core.errors import ConfigError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["finetune.align=[gender, rac]"], "finetune.align: 'rac' is not an attribute; did you "
         "mean 'race'?"),
        (["finetune.align=[gender, gender]"], "finetune.align: an attribute is named twice"),
        (["finetune.align=[gender, race, age]", "finetune.factor2.age=1"],
         "finetune.factor1: has no value for 'age', which is aligned"),
        (["finetune.factor2.agge=0.5"], "finetune.factor2.agge: is not an attribute; did you mean "
         "'age'?"),
        (["calibrate_classifier.train_network=mobilenet"],
         "calibrate_classifier.audit_network: must differ"),
        (["calibrate_classifier.source={gender: 'celeba:c', race: 'fairface:f', ag: 'celeba:c', "
          "age: 'celeba:c'}"], "calibrate_classifier.source: 'ag' is not an attribute; did you"),
        (["baselines.wording='{prompt}, of any {attribute}'"], "baselines.wording: holds {prompt} "
         "or {subject}, and may hold {attributes} and {classes}; given '{prompt}, of any"),
        (["baselines.wording='{prompt} of {'"], "baselines.wording: holds {prompt} or {subject}"),
        (["baselines.attribute_prompt='a {} of {x}'"], "baselines.attribute_prompt: needs one {}"),
        (["calibrate_classifier.source=celeba:c"], "calibrate_classifier.source: celeba does not "
         "label 'race', only gender, age; name a source of each attribute"),
        (["build_bank.source=lfw:x"],
         "build_bank.source: 'portraits', fairface:FOLDER, celeba:FOLDER or null is needed"),
        (["build_bank.source=null", "finetune.lambda_face=0.1"],
         "finetune.lambda_face: must be 0 where build_bank.source is null, which makes no bank; "
         "given 0.1"),
        (["build_bank.source=celeba:c", "finetune.lambda_face=0.1"],
         "build_bank.source: celeba does not label 'race', which is aligned with "
         "finetune.lambda_face = 0.1"),
        (["attributes.race.classes=[WMELH, Black, Indian, Asian]", "build_bank.source=null"],
         "calibrate_classifier.source: portraits does not draw 'race' as WMELH, Black, Indian, "
         "Asian, but light, golden, brown, dark; name photographs, fairface:FOLDER or "
         "celeba:FOLDER, or take the drawn classes"),
        (["attributes.race.classes=[WMELH, Black, Indian, Asian]",
          "calibrate_classifier.source=fairface:f"],
         "build_bank.source: portraits does not draw 'race' as WMELH, Black, Indian, Asian, but "
         "light, golden, brown, dark; name photographs, fairface:FOLDER or celeba:FOLDER, null for "
         "no bank, or take"),
        (["attributes.hair.classes=[grey, brown]", "attributes.hair.target=uniform",
          "calibrate_classifier.source={gender: 'celeba:c', race: 'fairface:f', age: 'celeba:c', "
          "hair: 'celeba:c'}", "build_bank.source=null"],
         "calibrate_classifier.source: celeba does not label 'hair'"),
        (["calibrate_classifier.train_network={gender: folder}"],
         "calibrate_classifier.train_network: has nothing for race, age"),
        (["calibrate_classifier.merges.rac={}"], "did you mean 'race'"),
        (["calibrate_classifier.train_network={gender: g, race: r, age: a}",
          "calibrate_classifier.audit_network={gender: g, race: s, age: b}"],
         "calibrate_classifier.audit_network: must not have a classifier that training has; "
         "given g"),
        (["finetune.iterations=10"], "finetune.checkpoint_every: must be at most "
         "finetune.iterations = 10; given 25"),
        (["finetune.steps=[12, 11]"], "finetune.steps: the first must not exceed the last"),
        (["finetune.gradient_steps=10"], "finetune.gradient_steps: must be at most the fewest "
         "sampling steps, 9; given 10"),
        (["finetune.gradient_weights=full"],
         "finetune.gradient_steps: must be null for gradient_weights full; given 4"),
        (["finetune.gradient_weights=full", "finetune.gradient_steps=null",
          "finetune.guided_gradient=text"],
         "finetune.guided_gradient: must be both for gradient_weights full; given text"),
        (["finetune.validate_every=5", "finetune.stop_at={gendr: 0.3}"],
         "finetune.stop_at.gendr: is not aligned; did you mean 'gender'?"),
        (["finetune.stop_at={gender: 0.2}"], "finetune.stop_at: needs "
         "finetune.validate_every of 1 or more"),
        (["finetune.train_text_encoder=false"], "nothing is trained: set train_text_encoder or "
         "train_unet to true, or soft_tokens to a number above 0"),
        (["finetune.soft_tokens=5"], "finetune.soft_tokens: must be 0 beside LoRA weights: the two "
         "are published as separate files, either of which loads alone and is then not what was "
         "trained; given 5; set it to 0, or train_text_encoder to false"),
        (["finetune.soft_tokens=5", "finetune.train_unet=true"],
         "or train_text_encoder and train_unet to false"),
        (["finetune.soft_tokens=5", "finetune.train_unet=true",
          "finetune.train_text_encoder=false"], "or train_unet to false"),
    ],
)  # fmt: skip
def test_values_must_fit_together(repository, overrides, message):
    with pytest.raises(ConfigError, match="params.yaml has one problem") as caught:
        load(repository / "tests" / "data" / "params.yaml", overrides)
    assert message in re.sub(r" \(line \d+\)", "", str(caught.value))


@pytest.mark.parametrize(
    "overrides",
    [
        ["calibrate_classifier.source=fairface:/data/fairface"],
        ["calibrate_classifier.train_network={gender: g, race: r, age: a}"],
        ["calibrate_classifier.source={gender: 'celeba:c', race: 'fairface:f', age: 'celeba:c'}"],
        ["build_bank.source=null"],
        ["build_bank.source=celeba:c"],
        ["build_bank.source=fairface:f", "finetune.lambda_face=0.1"],
        ["build_bank.source=celeba:c", "finetune.lambda_face=0.1", "finetune.align=[gender]"],
        ["calibrate_classifier.merges={race: {light: [White, Asian], dark: [Black]}}"],
        ["finetune.gradient_steps=9"],
        ["finetune.gradient_steps=null"],
        ["finetune.gradient_steps=null", "finetune.gradient_weights=full"],
        ["finetune.steps=[9, 9]"],
        ["finetune.iterations=25"],
        ["finetune.train_text_encoder=false", "finetune.train_unet=true"],
        ["finetune.train_unet=true"],
        ["finetune.train_text_encoder=false", "finetune.soft_tokens=1"],
        ["finetune.alpha=16"],
        ["finetune.alpha=0.5"],
        ["finetune.align=[race]"],
        ["finetune.align=[age]", "finetune.factor1.age=0.6", "finetune.factor2.age=0.3"],
        ["attributes.gender.target=[0.3, 0.7]"],
    ],
)
def test_values_at_the_edge_fit(repository, overrides):
    load(repository / "tests" / "data" / "params.yaml", overrides)


def test_a_value_with_a_problem_of_its_own_causes_no_other(repository):
    overrides = ["finetune.steps=[x, 11]", "finetune.iterations=many", "finetune.align=3"]
    with pytest.raises(ConfigError, match="has 3 problems") as caught:
        load(repository / "tests" / "data" / "params.yaml", overrides)
    assert "checkpoint_every" not in str(caught.value)
    assert "gradient_steps" not in str(caught.value)


def test_sound_values_are_checked_beside_unsound_ones(repository):
    overrides = ["finetune.rank=0", "finetune.steps=[12, 11]", "attributes.age.target=[0.5, 0.6]"]
    with pytest.raises(ConfigError, match="has 3 problems") as caught:
        load(repository / "tests" / "data" / "params.yaml", overrides)
    assert "finetune.steps: the first must not exceed" in str(caught.value)
    assert "sums to 1.1" in str(caught.value)


def test_the_networks_are_those_that_can_be_built():
    from fairness_core.classifiers import NETWORKS
    from fairness_core.config.choices import NETWORKS as KNOWN

    assert tuple(NETWORKS) == KNOWN


def test_a_wording_holds_what_the_intervention_fills_in():
    from fairness_core.baselines.intervention import FIELDS
    from fairness_core.config.checks import WORDING

    assert WORDING == FIELDS


def test_sources_label_what_the_readers_and_the_drawn_world_do():
    from fairness_core.config.choices import LABELLED as KNOWN
    from fairness_core.datasets import LABELLED
    from fairness_core.portraits.world import ATTRIBUTES

    assert KNOWN["portraits"] == {a.name: a.classes for a in ATTRIBUTES.attributes}
    assert {k: tuple(v) for k, v in KNOWN.items() if k != "portraits"} == LABELLED
