#!/usr/bin/env bash
# Fill infra/images/wheels for a build of the CPU image without a network, by the pip of the Python
# given: infra/images/wheelhouse.sh [PYTHON]. It must be of the image's version. Where pip's own
# settings do not lead to a CPU build of torch, set PIP_EXTRA_INDEX_URL (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${1:-python3} folder=infra/images/wheels
extras=$(sed -n 's/^ARG EXTRAS="\(.*\)"$/\1/p' infra/images/cpu.Dockerfile)
rm -f "$folder"/*.whl
# hatchling builds our own wheel inside the image.
"$python" -m pip wheel --quiet --wheel-dir "$folder" --constraint requirements.lock \
  ".[${extras// /,}]" hatchling
rm -f "$folder"/evenhand-*.whl
# What the image has in place of opencv-python, see install.py.
opencv=$(sed -n 's/^opencv-python==//p' requirements.lock)
"$python" -m pip download --quiet --no-deps --dest "$folder" "opencv-python-headless==$opencv"
du -sh "$folder"
