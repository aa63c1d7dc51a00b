"""The script for a real cluster: what it refuses before it touches anything."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
SET = {
    "OVERLAY": "gke",
    "EVENHAND_IMAGE_CPU": "cpu@sha256:1",
    "EVENHAND_IMAGE_GPU": "gpu@sha256:2",
    "KF_PIPELINES_ENDPOINT": "http://localhost:1",
}


@pytest.fixture
def script(tmp_path, repository):
    """Runs the script in a checkout of its own, with tools that note they were called and fail."""
    checkout, tools, called = tmp_path / "checkout", tmp_path / "tools", tmp_path / "called"
    (checkout / "infra/kubernetes/overlays/gke").mkdir(parents=True)
    (checkout / "infra/kubernetes/overlays/gke/a.yaml").write_text("a: REPLACE\n")
    shutil.copy(repository / "infra/end_to_end.sh", checkout / "infra")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*GIT, *words], cwd=checkout, check=True)
    tools.mkdir()
    for name in ("kubectl", "curl", "evenhand"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {called}\nexit 9\n')
        (tools / name).chmod(0o755)

    def run(**variables):
        done = subprocess.run(
            ["bash", "infra/end_to_end.sh"], cwd=checkout, capture_output=True, text=True,
            check=False, env={"PATH": f"{tools}:/usr/bin:/bin", **SET, **variables},
        )  # fmt: skip
        return done.returncode, done.stderr, called.read_text() if called.exists() else ""

    run.checkout = checkout
    return run


def test_a_clean_checkout_goes_on_to_the_manifests(script):
    assert script() == (9, "", "evenhand lint-manifests --filled infra/kubernetes/overlays/gke\n")


def test_changes_in_no_commit_are_said_before_anything_is_applied(script):
    (script.checkout / "infra/kubernetes/overlays/gke/a.yaml").write_text("a: filled in\n")
    status, said, called = script()
    assert (status, called) == (1, "")
    assert re.search("FAILED: changes are in no commit.*commit them first\n.*gke/a.yaml", said)


def test_gpu_clusters_need_the_gpu_image(script):
    status, said, called = script(EVENHAND_IMAGE_GPU="")
    assert status != 0
    assert "EVENHAND_IMAGE_GPU" in said
    assert called == ""
    status, said, called = script(OVERLAY="azure")
    assert (status, called) == (1, "")
    assert "take kind, gke or eks" in said


def test_the_readme_leaves_the_checkout_clean(repository):
    text = (repository / "infra/README.md").read_text()
    added = re.findall(r"dvc remote \w+.*", text)
    assert added
    assert all("--local" in line for line in added)
    assert text.index("git commit") < text.index("evenhand submit")
