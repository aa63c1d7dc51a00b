#!/usr/bin/env bash
# NOT RUN YET on any cluster. The whole way on a real one, small settings: install, submit, follow,
# cancel, train on two nodes, lose a node. It stops at the first
# thing that is not as it should be, and leaves what it made for you to look at.
#
# Before: Kubeflow Pipelines, Trainer and Kueue are installed, the secrets are made, and the values
# of the overlay filled in and committed (infra/README.md, steps 0 to 6; step 7 is done here). Needs
# git, kubectl, curl, base64 and evenhand.
#
#   OVERLAY=kind|gke|eks EVENHAND_IMAGE_CPU=NAME@sha256:... KF_PIPELINES_ENDPOINT=http://... \
#   EVENHAND_IMAGE_GPU=NAME@sha256:... infra/end_to_end.sh             # kind takes no GPU image
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${OVERLAY:?kind, gke or eks}" "${EVENHAND_IMAGE_CPU:?NAME@sha256:DIGEST}"
: "${KF_PIPELINES_ENDPOINT:?address of Kubeflow Pipelines}"
FOLDER=infra/kubernetes/overlays/$OVERLAY
RUNS=evenhand PROFILE=gpu PLACE=(--namespace evenhand)
if [[ $OVERLAY == kind ]]; then RUNS=kubeflow PROFILE=cpu PLACE=()
else : "${EVENHAND_IMAGE_GPU:?NAME@sha256:DIGEST of the GPU image, which $OVERLAY needs}"
fi
SMALL=(--set finetune.iterations=20 --set finetune.checkpoint_every=5 --set evaluate_bias.bootstrap=100)
# The gate of these runs lets anything pass: twenty iterations align nothing. Outside the checkout,
# which is to have no changes.
POLICY=$(mktemp)
printf 'version: 1\nrules: {no_face_rate: 1.0}\n' >"$POLICY"
forward=
trap '[[ -z $forward ]] || kill "$forward" 2>/dev/null || true; rm -f "$POLICY"' EXIT

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# All that can be known beforehand, before anything is applied.
[[ -d $FOLDER ]] || fail "there is no overlay $OVERLAY: take kind, gke or eks"
for tool in git kubectl curl base64 evenhand; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done
changes=$(git status --porcelain)
[[ -z $changes ]] || fail "changes are in no commit, and submit refuses them: commit them first
$changes"

state() { evenhand status "$1" "${PLACE[@]}" | sed -n '1s/.*: //p' || true; }

start() { # further options of submit; prints the run's id
  evenhand submit --profile "$PROFILE" --service-account evenhand-runs --shards 2 --policy "$POLICY" \
    "${PLACE[@]}" "${SMALL[@]}" "$@" | sed -n 's/^Run: *//p'
}

secret() { # namespace, name, key
  kubectl -n "$1" get secret "$2" -o "jsonpath={.data.$3}" | base64 --decode
}

postgres() { kubectl -n evenhand-tracking exec postgres-0 -- "$@"; }

mlflow() { # path, JSON, further options of curl; prints the status of the answer
  curl -s -o /dev/null -w '%{http_code}' -H 'content-type: application/json' -d "$2" "${@:3}" \
    "http://localhost:5999/api/2.0/mlflow/$1"
}

wait_for() { # run, state, minutes
  local end=$((SECONDS + $3 * 60)) now=
  while ((SECONDS < end)); do
    now=$(state "$1")
    [[ $now == "$2" ]] && return
    [[ $now =~ ^(SUCCEEDED|FAILED|CANCELED|CANCELLED)$ ]] && break
    sleep 15
  done
  evenhand status "$1" "${PLACE[@]}" || true
  fail "run $1 is $now, not $2"
}

say "1. The manifests are sound, and applied"
evenhand lint-manifests --filled "$FOLDER"
kubectl apply --server-side -k "$FOLDER"
kubectl -n evenhand-tracking rollout status statefulset/postgres --timeout=10m
# MLflow keeps its users in a second database, and does not start without it.
databases=$(postgres psql -U mlflow -d mlflow -tAc 'SELECT datname FROM pg_database')
grep -qx mlflow_auth <<<"$databases" || postgres createdb -U mlflow mlflow_auth
kubectl -n evenhand-tracking rollout status deployment/mlflow --timeout=10m

say "2. Nobody gets into MLflow without a password, and the user of the runs does with its own"
kubectl -n evenhand-tracking port-forward svc/mlflow 5999:5000 >/dev/null & forward=$!
sleep 5
search='{"max_results": 1}'
code=$(mlflow experiments/search "$search")
[[ $code == 401 ]] || fail "MLflow answered $code without a password"
user=$(secret "$RUNS" evenhand-credentials mlflow-tracking-username)
password=$(secret "$RUNS" evenhand-credentials mlflow-tracking-password)
admin=$(secret evenhand-tracking mlflow-auth admin-password)
# Refused where the user is there already: that it gets in is what counts.
made=$(mlflow users/create "{\"username\": \"$user\", \"password\": \"$password\"}" -u "admin:$admin")
code=$(mlflow experiments/search "$search" -u "$user:$password")
[[ $code == 200 ]] || fail "MLflow answered $made when user $user was to be made, and $code to that user"

say "3. The network is closed: a pod without our labels does not reach MLflow"
if kubectl -n default run evenhand-probe --rm -i --restart=Never --image=docker.io/library/busybox:1.37 \
  -- wget -T 5 -q -O- http://mlflow.evenhand-tracking:5000/health; then
  fail "a pod of another namespace reached MLflow"
fi

say "4. The account of runs may do what it needs, and not more"
as="system:serviceaccount:$RUNS:evenhand-runs"
for verb in create get delete; do
  kubectl -n "$RUNS" auth can-i "$verb" trainjobs.trainer.kubeflow.org --as "$as" >/dev/null \
    || fail "it may not $verb TrainJobs"
done
for call in "list secrets" "create pods" "delete pods"; do
  # shellcheck disable=SC2086
  ! kubectl -n "$RUNS" auth can-i $call --as "$as" >/dev/null || fail "it may $call"
done

say "5. A run from start to end"
run=$(start)
wait_for "$run" SUCCEEDED 240
evenhand logs "$run" --task Finetune "${PLACE[@]}" | tail -5

say "6. The same again is served from Kubeflow's cache"
began=$SECONDS
wait_for "$(start)" SUCCEEDED 30
echo "took $((SECONDS - began)) s"

say "7. A cancelled run leaves no pod"
run=$(start --set run.seed=2)
sleep 60
evenhand cancel "$run" "${PLACE[@]}"
sleep 120
left=$(kubectl -n "$RUNS" get pods -l "pipeline/runid=$run" --field-selector=status.phase=Running -o name)
[[ -z $left ]] || fail "pods are left: $left"

if kubectl get crd trainjobs.trainer.kubeflow.org >/dev/null 2>&1; then
  say "8. Two nodes train together, and leave no TrainJob"
  run=$(start --nodes 2 --set run.seed=3)
  wait_for "$run" SUCCEEDED 240
  [[ -z $(kubectl -n "$RUNS" get trainjobs -o name) ]] || fail "a TrainJob is left"

  say "9. A cancelled training takes its TrainJob along"
  run=$(start --nodes 2 --set run.seed=4 --set finetune.iterations=2000)
  until [[ -n $(kubectl -n "$RUNS" get trainjobs -o name) ]]; do sleep 10; done
  sleep 60
  evenhand cancel "$run" "${PLACE[@]}"
  sleep 120
  [[ -z $(kubectl -n "$RUNS" get trainjobs -o name) ]] || fail "a TrainJob is left"
fi

say "10. A training whose pod is deleted goes on from its checkpoint"
run=$(start --set run.seed=5 --set finetune.iterations=200)
pod=
until [[ -n $pod ]]; do
  sleep 10
  pod=$(kubectl -n "$RUNS" get pods -l "pipeline/runid=$run,evenhand.dev/step=finetune" \
    --field-selector=status.phase=Running -o name | head -1)
done
sleep 120
kubectl -n "$RUNS" delete "$pod" --grace-period=0 --force
wait_for "$run" SUCCEEDED 240
evenhand logs "$run" --task Finetune "${PLACE[@]}" | grep 'Going on after iteration' \
  || fail "it began anew (is Argo's retryPolicy Always? infra/README.md, step 3)"

say "Done: everything was as it should be"
