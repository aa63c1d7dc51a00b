from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from fairness_core.config import Params, load, schema
from fairness_core.errors import ConfigError


@pytest.fixture(scope="module")
def path(repository):
    return repository / "tests" / "data" / "params.yaml"


def test_the_default_file_loads(repository):
    params = load(repository / "params.yaml")
    assert set(params.finetune.align) <= set(params.attribute_space.names)


def test_values_come_typed(path):
    params = load(path)
    assert params.run.name == "portraits"
    assert params.finetune.steps == (9, 11)
    assert params.finetune.factor1 == {"gender": 0.2, "race": 0.6}
    assert params.attribute_space.names == ("gender", "race", "age")
    assert params.attribute_space["age"].target == (0.75, 0.25)
    assert params.attribute_space["race"].target == (0.25,) * 4


def test_sections_are_plain_values_as_in_the_file(path):
    params, raw = load(path), yaml.safe_load(path.read_text())
    for name, section in raw.items():
        assert params.section(name) == section
        assert yaml.safe_dump(params.section(name))
    assert list(params.section("attributes")) == list(raw["attributes"])


def test_parameters_cannot_be_changed(path):
    with pytest.raises(ValidationError, match="frozen"):
        load(path).finetune.rank = 4


def test_overrides_are_laid_over_the_file_in_order(path):
    params = load(
        path,
        [
            "finetune.iterations=50",
            {"finetune": {"iterations": 60, "gradient_steps": None}, "report": {}},
            "finetune.steps=[5, 6]",
            "finetune.factor1.race=0.5",
        ],
    )
    assert params.finetune.iterations == 60
    assert params.finetune.gradient_steps is None
    assert params.finetune.steps == (5, 6)
    assert params.finetune.factor1 == {"gender": 0.2, "race": 0.5}
    assert load(path).finetune.iterations == 150


@pytest.mark.parametrize("override", ["finetune.iterations", "=3", "finetune..rank=3"])
def test_overrides_have_one_form(path, override):
    with pytest.raises(ConfigError, match="form section.key=value"):
        load(path, [override])
    with pytest.raises(ConfigError, match="value is not YAML. Given: finetune.rank="):
        load(path, ["finetune.rank=[1, "])


def test_every_problem_is_reported_at_once(path, tmp_path):
    changes = {
        "  device: auto ": "  devise: auto ",
        "target: [0.75, 0.25]": "target: [0.75, 0.35]",
        "audit_network: mobilenet": "audit_network: resnet",
        "iterations: 150": "iteratons: 150",
        "gradient_weights: exact": "gradient_weights: exakt",
        "steps: [9, 11]": "steps: [13, 11]",
        "rank: 8": "rank: 8\n  rank: 9",
        "  confidence: 0.8": "  # confidence",
        "learning_rate: 2.0e-3    # A": "learning_rate: 2e-3    # A",
        "bootstrap: 1000": "bootstrap: many",
    }
    text = path.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match="bad.yaml has 10 problems") as caught:
        load(tmp_path / "bad.yaml")
    lines = text.splitlines()
    message = str(caught.value)
    for key, problem in {
        "run.devise": "unknown key; did you mean 'device'?",
        "attributes.age": "Target of 'age' sums to 1.1, not 1; given [0.75, 0.35]; choose shares",
        "calibrate_classifier.audit_network": "must differ from train_network",
        "finetune.iteratons": "unknown key; did you mean 'iterations'?",
        "finetune.gradient_weights": "one of 'exact', 'reference', 'unadjusted' or 'full' is "
        "needed; given \"exakt\" (text); did you mean 'exact'?",
        "finetune.steps": "the first must not exceed the last; given [13, 11]",
        "finetune.learning_rate": 'a number is needed; given "2e-3" (text); '
        "YAML reads it as text: write 2.0e-3",
        "evaluate_bias.bootstrap": 'a whole number is needed; given "many" (text)',
    }.items():
        section, name = key.split(".")
        start = lines.index(f"{section}:") if f"{section}:" in lines else 0
        number = next(
            n
            for n, line in enumerate(lines, start=1)
            if n > start and line.strip().startswith(f"{name}:")
        )
        assert f"\n  {key} (line {number}): {problem}" in message
    assert "given twice, in lines" in message
    assert "finetune.confidence: missing (C: targets below it are not used)" in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("finetune.rank=0", "finetune.rank: must be >= 1; given 0 (a whole number)"),
        ("finetune.rank=true", "finetune.rank: a whole number is needed; given true (true/false)"),
        ("finetune.rank=8.0", "finetune.rank: a whole number is needed; given 8.0 (a number)"),
        ("finetune.guidance=3e0", "write 3.0e+0"),
        ("finetune.guidance='3'", "write it without quotes"),
        ("finetune.lambda_image=.inf", "finetune.lambda_image: a finite number is needed"),
        ("finetune.betas=[0.9, 1]", "finetune.betas.1: must be < 1; given 1 (a whole number)"),
        ("finetune.steps=[9]", "finetune.steps: has too few entries"),
        ("finetune.steps=[9, 10, 11]", "finetune.steps: must have at most 2 entries"),
        ("finetune.align=gender", "finetune.align: a list is needed; given \"gender\" (text); "
         "write [gender]"),
        ("finetune.align=[]", "finetune.align: must have at least 1 entries"),
        ("finetune.factor1=[0.2]", "finetune.factor1: a mapping (key: value) is needed"),
        ("finetune.factor1.gender=2", "finetune.factor1.gender: must be <= 1"),
        ("finetune.train_unet='yes'", 'true or false is needed; given "yes" (text)'),
        ("models.detector_size=50", "models.detector_size: must be a multiple of 32"),
        ("models.base=", "models.base: text is needed; given null"),
        ("run.name=''", "run.name: must match"),
        ("run.device=gpu", "run.device: one of 'auto', 'cpu' or 'cuda' is needed; given \"gpu\""),
        ("run=3", "run: a mapping (key: value) is needed; given 3"),
        ("attributes=[]", "attributes: a mapping (key: value) is needed; given []"),
        ("attributes.age.classes=[yes, no]", "attributes.age.classes.0: text is needed; given "
         "true (true/false); YAML reads yes, no, on and off as true and false"),
        ("attributes.age.classes=[old]", "attributes.age.classes: must have at least 2 entries"),
        ("attributes.age.classes=[a, a]", "needs at least two different classes"),
        ("attributes.age.target=unifrm", "'uniform' or a list of shares in [0, 1]"),
        ("attributes.age.target=[-0.5, 1.5]", "'uniform' or a list of shares in [0, 1]"),
        ("attributes.age.target=[1.0]", "has 1 shares for 2 classes"),
        ("attributes={'Skin Tone': {classes: [a, b], target: uniform}}",
         "attributes.Skin Tone: as a name: must match"),
        ("finetune.learning_rat=1", "finetune.learning_rat: unknown key; did you mean "
         "'learning_rate'?"),
        ("publish.zzz=1", "publish.zzz: unknown key; there are weights"),
    ],
)  # fmt: skip
def test_each_problem_in_words(path, override, message):
    with pytest.raises(ConfigError) as caught:
        load(path, [override])
    assert message in str(caught.value)


def test_files_that_are_no_parameter_files(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read the parameter file"):
        load(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("run: [1, 2")
    with pytest.raises(ConfigError, match="is not YAML.*line 1"):
        load(bad)
    bad.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="is not YAML.*could not determine a constructor"):
        load(bad)
    bad.write_text("- run")
    with pytest.raises(ConfigError, match="top level is a mapping"):
        load(bad)
    bad.write_text("")
    needed = [field for field in Params.model_fields.values() if field.is_required()]
    with pytest.raises(ConfigError, match=f"has {len(needed)} problems") as caught:
        load(bad)
    assert "run: missing" in str(caught.value)


def test_the_json_schema_has_every_value_with_its_range():
    definitions = schema()["$defs"]
    assert definitions["Finetune"]["properties"]["rank"] == {
        "description": "LoRA rank",
        "maximum": 1024,
        "minimum": 1,
        "title": "Rank",
        "type": "integer",
    }
    for section in definitions.values():
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            assert field.get("description"), name
