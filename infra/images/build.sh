#!/usr/bin/env bash
# Build an image from this checkout: infra/images/build.sh cpu|gpu TAG [options of docker build]
# Prints the image's id and size. The revision in its labels ends in "-dirty" where the checkout
# has changes that are in no commit.
set -euo pipefail
kind=${1:?"cpu or gpu"} tag=${2:?"a tag, such as REGISTRY/evenhand-cpu:0.1.0"}
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ -f infra/images/$kind.Dockerfile ]] || { echo "error: there is no image $kind" >&2; exit 2; }
revision=$(git rev-parse HEAD)
[[ -z $(git status --porcelain) ]] || revision+=-dirty
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' fairness_core/__init__.py)
docker build --file "infra/images/$kind.Dockerfile" --tag "$tag" \
  --build-arg "REVISION=$revision" --build-arg "VERSION=${version:?"no version found"}" "$@" .
docker image inspect --format '{{.Id}} {{.Size}} bytes' "$tag"
