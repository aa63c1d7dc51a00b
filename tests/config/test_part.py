from __future__ import annotations

import json

import pytest

from fairness_core.config import load, load_part, take
from fairness_core.errors import ConfigError

KEYS = ("run.seed", "finetune", "attributes", "evaluate_bias.split")


@pytest.fixture
def whole(repository):
    return load(repository / "params.yaml")


def test_a_part_is_the_same_as_in_the_whole(whole):
    taken = json.loads(json.dumps(take(whole.model_dump(mode="json"), KEYS)))
    part = load_part(taken)
    for name in ("finetune", "attributes"):
        assert part.section(name) == whole.section(name)
    assert part.finetune == whole.finetune
    assert part.section("run") == {"seed": whole.run.seed}
    assert part.evaluate_bias.split == whole.evaluate_bias.split


def test_what_is_missing_is_not_there(whole):
    part = load_part(take(whole.model_dump(mode="json"), KEYS))
    with pytest.raises(AttributeError, match="bootstrap"):
        _ = part.evaluate_bias.bootstrap
    with pytest.raises(KeyError, match="report"):
        part.section("report")


def test_what_is_there_is_checked(whole):
    taken = take(whole.model_dump(mode="json"), KEYS)
    taken["finetune"] |= {"rank": 0, "rnak": 3, "align": ["nothing"]}
    with pytest.raises(ConfigError) as caught:
        load_part(taken | {"more": {}})
    message = str(caught.value)
    assert "finetune.rank: must be >= 1; given 0" in message
    assert "finetune.rnak: unknown key; did you mean 'rank'?" in message
    assert "finetune.align: 'nothing' is not an attribute" in message
    assert "more: unknown key" in message


def test_a_place_with_nothing_at_it(whole):
    with pytest.raises(ConfigError, match=r"no such value. Given: finetune\.nothing"):
        take(whole.model_dump(mode="json"), ("finetune.nothing",))
