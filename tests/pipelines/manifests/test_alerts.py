"""The alerts fire when they should, as Prometheus itself evaluates them (Debian's `prometheus`)."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from tests.pipelines.manifests.conftest import KUBERNETES

MONITORING = KUBERNETES / "base" / "monitoring"


def series(pod, step, phase="Failed", **more):
    """What kube-state-metrics says of a pod that begins well and ends in a phase at minute five."""
    place = f"namespace='evenhand', pod='{pod}', uid='u'"
    yield f"kube_pod_labels{{{place}, label_evenhand_dev_step='{step}'}}", "1x60"
    yield f"kube_pod_status_phase{{{place}, phase='{phase}'}}", "0x4 1x55"
    for reason in more.get("reasons", []):
        name = "kube_pod_container_status_terminated_reason"
        yield f"{name}{{{place}, container='main', reason='{reason}'}}", "_x4 1x55"


CASES = {
    "a gate": (series("a", "gate"), {"EvenhandGateFailed": 1, "EvenhandStepFailed": 0}),
    "a gate that lets through": (series("a", "gate", "Succeeded"), {"EvenhandGateFailed": 0}),
    "another step": (series("a", "finetune"), {"EvenhandGateFailed": 0, "EvenhandStepFailed": 1}),
    "a pod of somebody else": (series("a", ""), {"EvenhandGateFailed": 0, "EvenhandStepFailed": 0}),
    "out of memory": (
        series("a", "finetune", reasons=["OOMKilled"]),
        {"EvenhandOutOfMemory": 1, "EvenhandStepFailed": 1},
    ),
    "MLflow": (
        [(
            "kube_deployment_status_replicas_available"
            "{namespace='evenhand-tracking', deployment='mlflow'}",
            "1x4 0x55",
        )],
        {"EvenhandTrackingDown": 1},
    ),
}  # fmt: skip


@pytest.mark.integration
@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_when_they_should(name, tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    rule = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    seen, expected = CASES[name]
    counts = [
        {
            "expr": f"count(ALERTS{{alertname='{alert}', alertstate='firing'}}) or vector(0)",
            "eval_time": "40m",
            "exp_samples": [{"labels": "{}", "value": count}],
        }
        for alert, count in expected.items()
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in seen],
        "promql_expr_test": counts,
    }
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_and_asks_for_the_labels_that_pods_have():
    board = json.loads((MONITORING / "dashboard.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert sum("label_evenhand_dev_step" in query for query in queries) >= 3
