"""Times of schedules."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from components import cli
from fairness_core.errors import ConfigError
from pipelines.cron import check_cron


@pytest.mark.parametrize(
    "cron", ["0 0 3 * * 1", "*/10 0-59/5 0,12 ? jan-MAR sun", "59 59 23 31 12 6", "0 0 3 1/2 * ?"]
)
def test_times_that_kubeflow_takes(cron):
    check_cron(cron)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 3 * * 1", "six fields: second minute hour day month weekday"),
        ("0 99 3 * * foo", r"'99' is no minute \(0 to 59\); 'foo' is no weekday \(0 to 6\)"),
        ("0 0 3 0 * 7", r"'0' is no day .*'7' is no weekday"),
        ("0 0 5-3 * * *", "'5-3' is no hour"),
        ("0 */0 3 * * *", "no minute"),
        ("0 0 3 * * 1,", "no weekday"),
        ("-1 0 3 * * 1", "no second"),
    ],
)
def test_other_times_are_refused_with_all_that_is_wrong(cron, said):
    with pytest.raises(ConfigError, match=f"{said}.*write for example '0 0 3"):
        check_cron(cron)


def test_the_command_refuses_before_it_connects(repository, monkeypatch):
    monkeypatch.chdir(repository)
    words = ["schedule", "0 99 3 * * 1", "--name", "a", "--host", "http://127.0.0.1:1"]
    words += ["--allow-unpinned", "--allow-dirty", "--image-cpu", "a", "--image-gpu", "b"]
    for name in ("bundle", "classifiers", "finetuned"):
        words += ["--input", f"{name}=s3://b/{name}"]
    with pytest.raises(ConfigError, match="'99' is no minute"):
        CliRunner().invoke(cli.app, words, catch_exceptions=False)
    wrong = [*words, "--set", "models.base=portraits:bsae"]
    with pytest.raises(ConfigError, match="portraits:bsae: no model of that name"):
        CliRunner().invoke(cli.app, wrong, catch_exceptions=False)
    words[-1] = "finetuned=bogus"
    with pytest.raises(ConfigError, match="in no object store. Given: finetuned=bogus"):
        CliRunner().invoke(cli.app, words, catch_exceptions=False)
