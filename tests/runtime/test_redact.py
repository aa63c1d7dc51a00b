from __future__ import annotations

import pytest

from fairness_core.runtime.redact import HIDDEN, LONGEST, digest, flatten, without_secrets


def test_nested_values_get_dotted_names():
    values = {"finetune": {"steps": [9, 11], "factor1": {"race": 0.6}, "k": None}, "name": "run"}
    assert flatten(values) == {
        "finetune.steps": "[9, 11]",
        "finetune.factor1.race": "0.6",
        "finetune.k": "None",
        "name": "run",
    }


@pytest.mark.parametrize(
    "name", ["password", "hub_token", "API-KEY", "aws.secret_access_key", "auth", "credentials"]
)
def test_secrets_are_hidden_by_name(name):
    assert flatten({"store": {name: "hunter2"}}) == {f"store.{name}": HIDDEN}
    assert flatten({name: {"value": "hunter2"}}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["soft_tokens", "author", "keyframes", "tokens", "secretary"])
def test_harmless_names_are_not(name):
    assert flatten({name: 5}) == {name: "5"}


def test_secrets_are_hidden_in_addresses():
    text = "see https://me:hunter2@host:5000/a?x=1&access_token=abc&sig=def and s3://bucket/a@b"
    assert without_secrets(text) == (
        f"see https://{HIDDEN}@host:5000/a?x=1&access_token={HIDDEN}&sig={HIDDEN} "
        "and s3://bucket/a@b"
    )
    assert flatten({"uri": "http://u:p@host"}) == {"uri": f"http://{HIDDEN}@host"}
    assert flatten({"uris": ["http://u:p@host"]}) == {"uris": f'["http://{HIDDEN}@host"]'}


def test_long_values_are_cut():
    assert len(flatten({"prompt": "x" * 9000})["prompt"]) == LONGEST


def test_a_digest_depends_on_values_not_on_their_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 16
