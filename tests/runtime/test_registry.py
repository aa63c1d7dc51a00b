"""What the registry of released models refuses, without a store."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from fairness_core.errors import ConfigError
from fairness_core.runtime import registry


class Client:
    """One version, which is candidate and champion."""

    def search_registered_models(self, filter_string):
        return ["model"]

    def get_registered_model(self, name):
        return SimpleNamespace(aliases={"candidate": "1", "champion": "1"})

    def get_model_version(self, name, version):
        return SimpleNamespace(version=version, tags={}, run_id="r")

    def search_model_versions(self, filter_string):
        return [self.get_model_version("model", "1")]


def test_what_is_refused_says_what_to_do(monkeypatch):
    monkeypatch.setattr(registry, "open_client", lambda: (Client(), nullcontext))
    known = registry.Registry("model")
    why = {"by": "A. Person", "reason": "complaints"}
    with pytest.raises(ConfigError, match="model, champion: 1. What to do: promote another"):
        known.rollback(**why)
    with pytest.raises(ConfigError, match="champion already.*What to do: .*--version"):
        known.promote(**why)
    with pytest.raises(ConfigError, match="name and a reason. What to do: give --by"):
        known.promote(by="", reason="x")
