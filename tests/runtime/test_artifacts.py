from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from fairness_core.errors import ArtifactError
from fairness_core.runtime.artifacts import (
    MANIFEST,
    read_json,
    read_table,
    sha256_file,
    verify,
    write_manifest,
    write_table,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"picture")
    (tmp_path / "table.parquet").write_bytes(b"table")
    write_manifest(tmp_path, "images", images=1)
    return tmp_path


def test_a_manifest_names_every_file(folder):
    manifest = verify(folder, "images")
    assert manifest == json.loads((folder / MANIFEST).read_text())
    assert manifest["kind"] == "images"
    assert manifest["schema_version"] == 1
    assert manifest["extra"] == {"images": 1}
    assert list(manifest["files"]) == ["images/a.png", "table.parquet"]
    assert manifest["files"]["table.parquet"] == {
        "sha256": hashlib.sha256(b"table").hexdigest(),
        "bytes": 5,
    }


def test_writing_a_manifest_again_gives_the_same(folder):
    before = (folder / MANIFEST).read_bytes()
    write_manifest(folder, "images", images=1)
    assert (folder / MANIFEST).read_bytes() == before


def test_a_damaged_file_is_named_with_both_hashes(folder):
    good = sha256_file(folder / "table.parquet")
    (folder / "table.parquet").write_bytes(b"tablE")
    bad = sha256_file(folder / "table.parquet")
    with pytest.raises(ArtifactError, match=f"{bad}, the manifest says {good}.*table.parquet"):
        verify(folder)


def test_what_is_missing_is_named(folder, tmp_path):
    (folder / "images" / "a.png").unlink()
    with pytest.raises(ArtifactError, match=r"missing from a folder. Given: .*images/a\.png"):
        verify(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        verify(folder)
    with pytest.raises(ArtifactError, match="does not exist. Given: .*elsewhere"):
        verify(tmp_path / "elsewhere")


def test_another_kind_or_version_is_refused(folder):
    with pytest.raises(ArtifactError, match="of kind 'images' where 'adapter' is needed"):
        verify(folder, "adapter")
    with pytest.raises(ArtifactError, match="layout version 1, this program reads 2"):
        verify(folder, "images", version=2)


@pytest.mark.parametrize("text", ["[]", '{"kind": "images"}'])
def test_a_manifest_without_files_is_damaged(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="manifest is damaged"):
        verify(folder)


def test_a_manifest_cannot_reach_outside(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["../outside"] = {"sha256": "0", "bytes": 0}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="outside its folder"):
        verify(folder)


@pytest.mark.parametrize(
    ("path", "kind", "step"),
    [
        ("artifacts/prompts", None, "generate_prompts"),
        ("elsewhere", "baselines", "generate_baselines"),
        ("/w/artifacts/images/aligned", None, "generate_images"),
        ("artifacts/bundle", "adapter-bundle", "publish"),
        ("artifacts/mine", None, None),
    ],
)
def test_the_step_that_writes_what_is_missing_is_named(tmp_path, monkeypatch, path, kind, step):
    monkeypatch.chdir(tmp_path)
    told = f"run evenhand step {step}" if step else "run the step that writes it"
    with pytest.raises(ArtifactError, match=f"What to do: {told}.$"):
        verify(path, kind)


def test_the_step_that_writes_what_is_damaged_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="What to do: run evenhand step evaluate_bias.$"):
        read_json("metrics/evaluation.json")
    write_table(pd.DataFrame({"a": [1]}), "artifacts/bank/bank.parquet")
    with pytest.raises(ArtifactError, match="What to do: run evenhand step build_bank again.$"):
        read_table("artifacts/bank/bank.parquet", ["b"])
