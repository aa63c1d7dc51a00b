"""Our manifests render and pass every check; objects that are broken on purpose do not."""

from __future__ import annotations

import pytest
import yaml

from components.finetune.trainer import CALLS
from fairness_core.errors import ConfigError
from pipelines.commands import lint_manifests
from pipelines.manifests import check, problems, read
from pipelines.manifests.objects import selects
from pipelines.resources import SECRET_KEYS, Cluster
from tests.pipelines.manifests.conftest import KUBERNETES, OVERLAYS, needs_renderer


@pytest.mark.parametrize("name", [*OVERLAYS, "audit"])
def test_ours_are_sound(rendered, name):
    assert problems(rendered[name]) == []


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("overlays/kind", {"Namespace", "Deployment", "StatefulSet", "NetworkPolicy", "Role"}),
        ("overlays/gke", {"ContainerNodePool", "ResourceQuota", "LocalQueue", "PrometheusRule"}),
        ("overlays/eks", {"NodePool", "EC2NodeClass", "StorageClass", "ClusterQueue"}),
        ("audit", {"Job", "ConfigMap"}),
    ],
)
def test_every_part_is_there(rendered, name, kinds):
    assert kinds <= {one["kind"] for one in rendered[name].all}


def of(objects, kind, name):
    found = objects.get(kind, name)
    assert found is not None, f"{kind} {name}"
    return found


def container(objects, kind, name):
    return of(objects, kind, name)["spec"]["template"]["spec"]["containers"][0]


def remove(objects, kind, name):
    objects.all.remove(of(objects, kind, name))


def role(objects):
    return of(objects, "Role", "evenhand-runs-trainjobs")["rules"]


def add(objects, text):
    objects.all.append(yaml.safe_load(text))


def pool(objects):
    return of(objects, "NodePool", "evenhand-gpu")["spec"]["template"]


def mlflow_pod(objects):
    return of(objects, "Deployment", "mlflow")["spec"]["template"]


BROKEN = {
    "a field that does not exist": (
        lambda o: of(o, "Deployment", "mlflow")["spec"].update(replica=2),
        r"Deployment evenhand-tracking/mlflow: spec: .*'replica' was unexpected",
    ),
    "a field of another type": (
        lambda o: of(o, "Service", "mlflow")["spec"]["ports"][0].update(port="5000"),
        "Service evenhand-tracking/mlflow: spec.ports.0.port: '5000' is not",
    ),
    "a field that Kueue does not have": (
        lambda o: of(o, "LocalQueue", "evenhand")["spec"].update(clusterqueue="x"),
        "LocalQueue evenhand/evenhand: spec: .*'clusterqueue' was unexpected",
    ),
    "a kind that nobody knows": (
        lambda o: of(o, "LocalQueue", "evenhand").update(apiVersion="kueue.x-k8s.io/v1"),
        "no schema of kueue.x-k8s.io/v1 LocalQueue is known",
    ),
    "an object that is there twice": (
        lambda o: o.all.append(of(o, "Service", "mlflow")),
        "Service evenhand-tracking/mlflow: it is there twice",
    ),
    "a namespace that is not": (
        lambda o: of(o, "Service", "mlflow")["metadata"].update(namespace="elsewhere"),
        "Service elsewhere/mlflow: its namespace is not among the manifests",
    ),
    "a service of no pods": (
        lambda o: of(o, "Service", "mlflow")["spec"].update(selector={"app": "mlflow"}),
        "Service evenhand-tracking/mlflow: its selector takes no pods",
    ),
    "a service of a port that none has": (
        lambda o: of(o, "Service", "mlflow")["spec"]["ports"][0].update(targetPort="web"),
        "Service evenhand-tracking/mlflow: no container has port 'web'",
    ),
    "a deployment that loses its pods": (
        lambda o: mlflow_pod(o)["metadata"]["labels"].update({"app.kubernetes.io/name": "ml"}),
        "Deployment evenhand-tracking/mlflow: its selector does not take its own pods",
    ),
    "a mount without a volume": (
        lambda o: mlflow_pod(o)["spec"]["volumes"].pop(),
        "Deployment evenhand-tracking/mlflow, container mlflow: no volume 'tmp'",
    ),
    "a volume without a mount": (
        lambda o: container(o, "Deployment", "mlflow")["volumeMounts"].pop(),
        "Deployment evenhand-tracking/mlflow: nothing mounts volume 'tmp'",
    ),
    "a secret of another name": (
        lambda o: mlflow_pod(o)["spec"]["volumes"][0]["secret"].update(secretName="auth"),
        "Deployment evenhand-tracking/mlflow: there is no Secret 'auth' in evenhand-tracking",
    ),
    "the image of the day": (
        lambda o: container(o, "Deployment", "mlflow").update(image="ghcr.io/mlflow:latest"),
        "the image is not pinned to a version or digest: 'ghcr.io/mlflow:latest'",
    ),
    "an image without a tag": (
        lambda o: container(o, "StatefulSet", "postgres").update(image="reg.example:5000/postgres"),
        "the image is not pinned",
    ),
    "no limit of memory": (
        lambda o: container(o, "StatefulSet", "postgres")["resources"]["limits"].pop("memory"),
        "StatefulSet evenhand-tracking/postgres, container postgres: it has no memory under limits",
    ),
    "no probe": (
        lambda o: container(o, "Deployment", "mlflow").pop("readinessProbe"),
        "Deployment evenhand-tracking/mlflow, container mlflow: it has no readinessProbe",
    ),
    "a probe of another port": (
        lambda o: container(o, "Deployment", "mlflow")["livenessProbe"]["httpGet"].update(port=80),
        "the port of its livenessProbe is not one of its ports",
    ),
    "root": (
        lambda o: mlflow_pod(o)["spec"]["securityContext"].update(runAsUser=0),
        "container mlflow: it may run as root",
    ),
    "an image that can be written to": (
        lambda o: container(o, "Deployment", "mlflow")["securityContext"].pop(
            "readOnlyRootFilesystem"
        ),
        "container mlflow: it may write to its image",
    ),
    "a password in a variable": (
        lambda o: container(o, "StatefulSet", "postgres")["env"].append(
            {"name": "POSTGRES_PASSWORD", "value": "hunter2"}
        ),
        "container postgres: variable POSTGRES_PASSWORD holds a secret",
    ),
    "a password in an address": (
        lambda o: container(o, "Deployment", "mlflow")["args"].append(
            "--backend-store-uri=postgresql://mlflow:hunter2@postgres/mlflow"
        ),
        "container mlflow: its command line holds a secret",
    ),
    "a secret written out": (
        lambda o: add(
            o,
            "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: evenhand},"
            " stringData: {a: b}}",
        ),
        "Secret evenhand/s: a secret stands in a manifest",
    ),
    "a key in a ConfigMap": (
        lambda o: of(o, "ConfigMap", "evenhand-dashboard")["data"].update(
            {"aws-secret-access-key": "x"}
        ),
        "ConfigMap evenhand-tracking/evenhand-dashboard: 'aws-secret-access-key' reads like",
    ),
    "an account that may not stop a training": (
        lambda o: role(o)[0]["verbs"].remove("delete"),
        r"ServiceAccount evenhand/evenhand-runs: it may not delete trainjobs of group 'trainer",
    ),
    "a role of everything": (
        lambda o: role(o)[0].update(verbs=["*"]),
        "Role evenhand/evenhand-runs-trainjobs: a rule holds '[*]'",
    ),
    "a binding of no role": (
        lambda o: remove(o, "Role", "evenhand-runs-kubeflow"),
        "RoleBinding evenhand/evenhand-runs-kubeflow: there is no Role 'evenhand-runs-kubeflow'",
    ),
    "a binding of no account": (
        lambda o: of(o, "RoleBinding", "evenhand-runs-kubeflow")["subjects"][0].update(name="x"),
        "there is no ServiceAccount 'evenhand/x'",
    ),
    "a pod of no account": (
        lambda o: mlflow_pod(o)["spec"].update(serviceAccountName="x"),
        "Deployment evenhand-tracking/mlflow: there is no ServiceAccount 'x' in evenhand-tracking",
    ),
    "no denial": (
        lambda o: remove(o, "NetworkPolicy", "default-deny"),
        "no policy denies what the others do not allow",
    ),
    "a policy about nobody": (
        lambda o: of(o, "NetworkPolicy", "postgres")["spec"].update(
            podSelector={"matchLabels": {"app": "postgres"}}
        ),
        "NetworkPolicy evenhand-tracking/postgres: it is about no pods",
    ),
    "a policy that lets nobody in": (
        lambda o: of(o, "NetworkPolicy", "mlflow")["spec"]["ingress"][0]["from"][0].update(
            podSelector={"matchLabels": {"app": "evenhand"}}
        ),
        "NetworkPolicy evenhand-tracking/mlflow: no pods are meant by .* in evenhand",
    ),
    "a policy that lets everybody in": (
        lambda o: of(o, "NetworkPolicy", "postgres")["spec"]["ingress"][0].pop("from"),
        "NetworkPolicy evenhand-tracking/postgres: a rule of its ingress allows everybody",
    ),
    "a policy of another port": (
        lambda o: of(o, "NetworkPolicy", "postgres")["spec"]["ingress"][0]["ports"][0].update(
            port=5433
        ),
        "NetworkPolicy evenhand-tracking/postgres: no container listens on port 5433",
    ),
    "a queue that is not": (
        lambda o: of(o, "LocalQueue", "evenhand")["spec"].update(clusterQueue="x"),
        "LocalQueue evenhand/evenhand: there is no ClusterQueue 'x'",
    ),
    "a queue that takes nothing from us": (
        lambda o: of(o, "Namespace", "evenhand")["metadata"]["labels"].pop("evenhand.dev/queues"),
        "LocalQueue evenhand/evenhand: its ClusterQueue takes nothing from this namespace",
    ),
    "a flavor that is not": (
        lambda o: remove(o, "ResourceFlavor", "evenhand-gpu"),
        "ClusterQueue evenhand: there is no ResourceFlavor 'evenhand-gpu'",
    ),
    "a quota that no training fits into": (
        lambda o: [
            resource.update(nominalQuota="32Gi")
            for flavor in of(o, "ClusterQueue", "evenhand")["spec"]["resourceGroups"][0]["flavors"]
            for resource in flavor["resources"]
            if resource["name"] == "memory"
        ],
        "ClusterQueue evenhand: step finetune of profile gpu fits into none of its flavors",
    ),
    "nodes that no step finds": (
        lambda o: pool(o)["metadata"]["labels"].update({"evenhand.dev/pool": "gpus"}),
        "NodePool evenhand-gpu: its nodes have no label evenhand.dev/pool=gpu",
    ),
    "nodes that no step may run on": (
        lambda o: pool(o)["spec"]["taints"].append(
            {"key": "team", "value": "a", "effect": "NoSchedule"}
        ),
        "NodePool evenhand-gpu: no step tolerates its taint team",
    ),
    "GPU nodes for everybody": (
        lambda o: pool(o)["spec"].pop("taints"),
        "NodePool evenhand-gpu: without the taint nvidia.com/gpu steps without a GPU would fill it",
    ),
    "nodes of no class": (
        lambda o: remove(o, "EC2NodeClass", "evenhand-gpu"),
        "NodePool evenhand-gpu: there is no EC2NodeClass 'evenhand-gpu'",
    ),
    "a claim for one node": (
        lambda o: of(o, "PersistentVolumeClaim", "evenhand-workspace")["spec"].update(
            accessModes=["ReadWriteOnce"]
        ),
        "pods on several nodes need ReadWriteMany, not ReadWriteOnce",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(eks, name):
    change, message = BROKEN[name]
    change(eks)
    with pytest.raises(ConfigError, match=message):
        check(eks)


def test_runs_may_do_what_they_do_and_nothing_more(rendered):
    rules = role(rendered["overlays/gke"])
    granted = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == set(CALLS)


def test_names_are_those_that_pipelines_use(rendered):
    for name in OVERLAYS:
        objects, cluster = rendered[name], Cluster()
        queue = of(objects, "LocalQueue", cluster.queue)
        claim = of(objects, "PersistentVolumeClaim", cluster.claim)
        account = of(objects, "ServiceAccount", "evenhand-runs")
        (namespace,) = {one["metadata"]["namespace"] for one in (queue, claim, account)}
        assert cluster.secret in objects.declared(namespace, "secrets")
        of(objects, "ServiceAccount", "evenhand-trainers")


def test_the_readme_says_how_every_secret_is_made(rendered):
    text = (KUBERNETES.parent / "README.md").read_text()
    for key in SECRET_KEYS:
        assert f"--from-literal={key}=" in text, key
    for namespace in ("evenhand", "evenhand-tracking"):
        for secret in rendered["overlays/eks"].declared(namespace, "secrets"):
            assert f"create secret generic {secret}" in text, secret


def test_what_is_to_be_filled_in_is_found_on_request(rendered):
    found = problems(rendered["overlays/eks"], filled=True)
    assert "StorageClass evenhand-efs: parameters.fileSystemId is to be filled in" in found
    assert problems(rendered["overlays/kind"], filled=True) == []


def test_the_command(tmp_path, capsys):
    needs_renderer()
    lint_manifests(KUBERNETES / "overlays" / "kind", filled=True)
    assert "objects are sound" in capsys.readouterr().out
    file = tmp_path / "mine.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {port: 1}\n"
    )
    with pytest.raises(ConfigError, match=r"The manifests have a problem\n  Service b/a: spec:"):
        lint_manifests(file, filled=False)


def test_what_cannot_be_read_is_one_error(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        read(file)
    for text, message in (
        ("a: [", "no YAML"),
        ("", "no object"),
        ("kind: Service", "Document 1 has no apiVersion, kind or metadata.name"),
        ("{apiVersion: v1, kind: A, metadata: [x]}", "Document 1 has no apiVersion"),
        ("[a]", "Document 1 has no apiVersion"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=f"{message}.*What to do: "):
            read(file)
    needs_renderer()
    (tmp_path / "kustomization.yaml").write_text("resources: [nowhere.yaml]\n")
    with pytest.raises(ConfigError, match="cannot be rendered.*nowhere.yaml") as caught:
        read(tmp_path)
    assert "run.go" not in str(caught.value)
    assert "What to do: correct the kustomization.yaml" in str(caught.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="kubectl or kustomize, and neither is installed"):
        read(tmp_path)


def test_label_selectors():
    labels = {"a": "1"}
    assert selects({}, labels)
    assert selects({"matchLabels": {"a": "1"}}, labels)
    assert not selects({"matchLabels": {"a": "2"}}, labels)
    for operator, values, expected in (
        ("In", ["1"], True), ("NotIn", ["1"], False), ("Exists", [], True),
        ("DoesNotExist", [], False),
    ):  # fmt: skip
        rule = {"key": "a", "operator": operator, "values": values}
        assert selects({"matchExpressions": [rule]}, labels) is expected
