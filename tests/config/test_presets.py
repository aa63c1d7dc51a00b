"""Presets: every one lays sound values over params.yaml, and DVC reads the same values."""

import pytest

from fairness_core.config import assignments, find_preset, load_preset, read_presets
from fairness_core.config.presets import experiment
from fairness_core.config.source import merge, parse, read
from fairness_core.errors import ConfigError
from tests.conftest import REPOSITORY

EXPERIMENTS = (
    "gender",
    "gender-race",
    "gender-race-age",
    "gender-tokens",
    "multi-concept",
    "race",
)
PRESETS = read_presets(REPOSITORY / "presets")
# Paper, table of hyper-parameters: iterations, N, lambda_image, images per test prompt.
PAPER = {
    "gender": (10000, 24, 8.0, 60),
    "gender-tokens": (10000, 24, 8.0, 60),
    "gender-race": (15000, 32, 8.0, 160),
    "gender-race-age": (15000, 40, 8.0, 160),
    "multi-concept": (15000, 40, 8.0, 160),
    "race": (12000, 32, 6.0, 80),
}


def test_both_families_have_the_six_experiments():
    names = [f"{family}-{name}" for family in ("portraits", "sd15") for name in EXPERIMENTS]
    assert sorted(names) == [preset.name for preset in PRESETS]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_sound(preset):
    params = load_preset(REPOSITORY / "params.yaml", preset)
    family, _, name = preset.name.partition("-")
    assert params.run.name == preset.name
    assert set(params.finetune.align) == set(name.split("-")) & {"gender", "race", "age"} or (
        name in ("multi-concept",)
    )
    if family == "sd15":
        told = params.finetune
        found = (told.iterations, told.images_per_prompt, told.lambda_image)
        assert (*found, params.generate_prompts.test_images) == PAPER[name]
        assert (told.steps, told.guidance, told.rank) == ((19, 23), 7.5, 50)
        # One pack for both: nothing made for drawn faces looks at photographs.
        assert params.models.face_embedder == params.models.detector == "models/buffalo_l"
        # The published folder ships another sampler than the paper's.
        assert params.models.sampler == "dpm++2m"
    if name == "multi-concept":
        assert params.evaluate_bias.also == ("sports", "descriptors", "styles")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_kept_results_were_made_with_the_presets_own_values(preset):
    kept = sorted((REPOSITORY / "docs/results" / preset.name).glob("seed-*/params.yaml"))
    assert preset.name.startswith("sd15") or kept
    for path in kept:
        params = read(path).values
        for section, values in preset.values.items():
            if section != "run":
                assert values.items() <= params[section].items(), path


def test_problems_name_the_preset_and_the_key(tmp_path):
    (tmp_path / "mine.yaml").write_text("# mine\nfinetune: {rankk: 3, guidance: low}\n")
    with pytest.raises(ConfigError, match="With preset 'mine'.*2 problems") as caught:
        load_preset(REPOSITORY / "params.yaml", find_preset(tmp_path, "mine"))
    assert "did you mean 'rank'" in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        find_preset(tmp_path, "mime")
    (tmp_path / "mine.yaml").write_text("# mine\n")
    with pytest.raises(ConfigError) as caught:
        load_preset(REPOSITORY / "params.yaml", find_preset(tmp_path, "mine"), ["run.seed"])
    assert str(caught.value).startswith("With preset 'mine': An override has the form")
    assert "Given: run.seed. What to do: write for example" in str(caught.value)
    (tmp_path / "mine.yaml").write_text("finetune: {}\n")
    with pytest.raises(ConfigError, match="begins with a comment"):
        read_presets(tmp_path)
    with pytest.raises(ConfigError, match="no preset here"):
        read_presets(tmp_path / "nowhere")


def nested(words):
    """What Hydra, which DVC uses, makes of the assignments."""
    from dvc.utils.hydra import apply_overrides

    path = words.pop(0)
    apply_overrides(path, words)
    return read(path).values


@pytest.mark.slow
def test_dvc_reads_the_same_values_as_we(tmp_path):
    values = {
        "a": {
            "text": "it's 75 % (young), {x}: [y]",
            "nothing": None,
            "truth": True,
            "word": "high",
        },
        "b": {"list": [9, 0.5, "x y"], "families": {"sport": 4}, "tiny": 5.0e-5, "empty": {}},
        "c": {"two words, (a: b) \\ [x]": {"gender": [0.8, 0.2]}},
    }
    (tmp_path / "p.yaml").write_text("a: {text: old, kept: 1}\nb: {families: {named: 1}}\n")
    found = nested([tmp_path / "p.yaml", *assignments(values)])
    assert found["a"] == {**values["a"], "kept": 1}
    assert found["b"] == {**values["b"], "families": {"named": 1, "sport": 4}}
    assert found["c"] == values["c"]
    with pytest.raises(ConfigError, match="cannot be given this key"):
        assignments({"overrides": {"the owner's": {"gender": "uniform"}}})


@pytest.mark.slow
@pytest.mark.parametrize("before", ["[0.5, 0.5]", "uniform", "null", "{young: 0.4}"])
def test_a_mapping_takes_the_place_of_whatever_was_there(tmp_path, before):
    (tmp_path / "p.yaml").write_text(f"attributes: {{age: {{target: {before}}}}}\n")
    base = read(tmp_path / "p.yaml").values
    values = {"attributes": {"age": {"target": {"young": 0.7, "old": 0.3}}}}
    assert nested([tmp_path / "p.yaml", *assignments(values, base)]) == values


def test_the_command_is_one_experiment_with_single_values_last():
    preset = find_preset(REPOSITORY / "presets", "portraits-gender")
    command = experiment(preset, ["finetune.iterations=3", "run.seed=7"], keep=False)
    assert command[:6] == ["dvc", "exp", "run", "--temp", "--name", "portraits-gender"]
    assert "++finetune.iterations=3" in command
    assert "++finetune.iterations=180" not in command
    assert "++run.seed=7" in command
    assert "--temp" not in experiment(preset, [], keep=True)
    assert parse("run.seed=7") == {"run": {"seed": 7}}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_dvc_writes_what_we_lay_over_the_file(preset, tmp_path):
    given = REPOSITORY / "params.yaml"
    (tmp_path / "p.yaml").write_text(given.read_text())
    expected = read(given).values
    merge(expected, preset.values)
    assert nested([tmp_path / "p.yaml", *assignments(preset.values)]) == expected


def test_a_broken_preset_is_no_matter_to_the_others(tmp_path):
    (tmp_path / "good.yaml").write_text("# good\nfinetune: {rank: 3}\n")
    (tmp_path / "broken.yaml").write_text("# broken\nfinetune: [\n")
    assert find_preset(tmp_path, "good").values == {"finetune": {"rank": 3}}
    with pytest.raises(ConfigError, match=r"not YAML.*Given: .*broken.yaml.*What to do"):
        find_preset(tmp_path, "broken")
    with pytest.raises(ConfigError, match="Given: god; did you mean .good.*evenhand presets"):
        find_preset(tmp_path, "god")
