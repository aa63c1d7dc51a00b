"""Versions of a released model and who may be used: candidate, champion, and the way back.

A version comes from a gate that passed. A person makes it the champion, and each such change is an
MLflow run of its own with who did it, when, why, from which version and to which.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError
from fairness_core.runtime.mlflow_store import open_client

__all__ = ["Change", "Registry"]

CANDIDATE, CHAMPION = "candidate", "champion"
KEY, PREVIOUS = "evenhand.key", "evenhand.previous_champion"
FOLDER = "bundle"
ABOUT = 5000  # characters that every store takes


@dataclass(frozen=True)
class Change:
    """The champion before and after; None: there was none."""

    before: int | None
    after: int


class Registry:
    """The versions of one registered MLflow model.

    Args:
        name: Of the registered model; made with its first version.

    Raises:
        ConfigError: MLflow is not installed, or its store cannot be used.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._client, self._translated = open_client()

    def register(
        self, bundle: Path, *, experiment: str, key: str, about: str, tags: Mapping[str, str]
    ) -> int:
        """Make the folder a version and the candidate; the same folder is the same version.

        Args:
            bundle: Folder whose files become the version's.
            experiment: MLflow experiment of the run that holds them.
            about: The version's description.
            key: SHA-256 that tells folders apart.
            tags: Of the version.

        Returns:
            The version's number.
        """
        with self._translated():
            if not self._client.search_registered_models(filter_string=f"name='{self.name}'"):
                self._client.create_registered_model(self.name)
            known = [v for v in self._versions() if v.tags.get(KEY) == key]
            version = int(known[0].version) if known else self._create(bundle, experiment, key)
            for tag, value in tags.items():
                self._client.set_model_version_tag(self.name, str(version), tag, value)
            self._client.update_model_version(self.name, str(version), about[:ABOUT])
            self._client.set_registered_model_alias(self.name, CANDIDATE, str(version))
        return version

    def promote(self, *, by: str, reason: str, version: int | None = None) -> Change:
        """Make a version the champion: the candidate, or the one named.

        Args:
            by: Who decides.
            reason: Why.
            version: None: the candidate.

        Raises:
            ConfigError: No name or reason, no such version, or it is the champion already.
        """
        with self._translated():
            chosen = self._alias(CANDIDATE) if version is None else version
            if chosen is None or chosen not in {int(v.version) for v in self._versions()}:
                raise ConfigError(
                    "There is no such version to promote",
                    given=f"{self.name}, version {version or CANDIDATE}",
                    do="run the gate first; only what passes is registered",
                )
            return self._set_champion(chosen, "promote", by, reason)

    def rollback(self, *, by: str, reason: str) -> Change:
        """Make the champion's predecessor the champion again.

        Raises:
            ConfigError: No name or reason, no champion, or it had no predecessor.
        """
        with self._translated():
            champion = self._alias(CHAMPION)
            previous = None if champion is None else self._version(champion).tags.get(PREVIOUS)
            if not previous:
                raise ConfigError(
                    "There is no earlier champion to go back to",
                    given=f"{self.name}, champion: {champion or 'none'}",
                    do="promote another version; from the second champion on there is one",
                )
            return self._set_champion(int(previous), "rollback", by, reason)

    def _set_champion(self, version: int, step: str, by: str, reason: str) -> Change:
        if not by.strip() or not reason.strip():
            raise ConfigError(
                "A change of the champion needs a name and a reason", do="give --by and --reason"
            )
        before = self._alias(CHAMPION)
        if before == version:
            raise ConfigError(
                "This version is the champion already",
                given=f"version {version}",
                do="promote another one by --version",
            )
        # A rollback leaves the predecessor's own predecessor, so that a second one goes further.
        if step == "promote" and before is not None:
            self._client.set_model_version_tag(self.name, str(version), PREVIOUS, str(before))
        self._client.set_registered_model_alias(self.name, CHAMPION, str(version))
        tags = {"step": step, "model": self.name, "by": by, "reason": reason}
        tags |= {"from": str(before), "to": str(version)}
        held = self._client.get_run(self._version(version).run_id).info.experiment_id
        run = self._client.create_run(held, tags=tags, run_name=step)
        self._client.set_terminated(run.info.run_id)
        return Change(before, version)

    def _create(self, bundle: Path, experiment: str, key: str) -> int:
        found = self._client.get_experiment_by_name(experiment)
        place = found.experiment_id if found else self._client.create_experiment(experiment)
        run = self._client.create_run(
            place,
            start_time=round(time.time() * 1000),
            tags={"step": "register", "model": self.name},
            run_name="register",
        )
        self._client.log_artifacts(run.info.run_id, str(bundle), FOLDER)
        self._client.set_terminated(run.info.run_id)
        made = self._client.create_model_version(
            self.name,
            source=f"{run.info.artifact_uri}/{FOLDER}",
            run_id=run.info.run_id,
            tags={KEY: key},
        )
        return int(made.version)

    def _versions(self) -> list[Any]:
        return list(self._client.search_model_versions(f"name='{self.name}'"))

    def _version(self, version: int) -> Any:
        return self._client.get_model_version(self.name, str(version))

    def _alias(self, alias: str) -> int | None:
        models = self._client.search_registered_models(filter_string=f"name='{self.name}'")
        aliases = self._client.get_registered_model(self.name).aliases if models else {}
        return int(aliases[alias]) if alias in aliases else None
