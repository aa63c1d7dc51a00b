#!/usr/bin/env bash
# Build the CPU image as a fresh clone would, start a Docker of our own, and run a command on both:
#   infra/images/check.sh python -m pytest -m integration tests/infra
# Needs Debian or Ubuntu and root. Everything it keeps lies in build/containers; the Docker that it
# started, and no other, is ended when it ends. Of a second run, base and layers are there already.
#
#   BASE_IMAGE    base, already in a Docker that runs; unset: one is made from Debian
#   TEST_IMAGE    image to use as it is; nothing is built
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$here"
keep=$here/build/containers
python=$(command -v python)
mkdir -p "$keep"

need() { # PROGRAM PACKAGE...: install the packages where the program is missing
  command -v "$1" >/dev/null || missing+=("${@:2}")
}
missing=()
need dockerd docker.io
need iptables iptables
need mmdebstrap mmdebstrap
need ceph ceph-common
need ceph-mon ceph-mon
need ceph-osd ceph-osd
need radosgw radosgw
# Ubuntu's package of that name is a stub that asks for a snap: there the pages aren't opened.
if grep -q '^ID=debian' /etc/os-release; then need chromium chromium fonts-dejavu-core; fi
need promtool prometheus
[[ -n $(compgen -G '/usr/lib/postgresql/*/bin/initdb') ]] || missing+=(postgresql)
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
fi

# The socket's path must be short.
run=$(mktemp -d -p /tmp)
cat >"$run/daemon.json" <<END
{"data-root": "$keep/data", "exec-root": "$run/exec", "pidfile": "$run/pid",
 "hosts": ["unix://$run/socket"], "ip6tables": false}
END
nohup dockerd --config-file "$run/daemon.json" >"$keep/dockerd.log" 2>&1 &
daemon=$!
end() {
  kill "$daemon" 2>/dev/null && wait "$daemon" || true
  rm -rf "$run"
}
trap end EXIT
export DOCKER_HOST=unix://$run/socket DOCKER_BUILDKIT=0
for _ in $(seq 120); do docker version >/dev/null 2>&1 && break; sleep 0.5; done
docker version >/dev/null || { tail -20 "$keep/dockerd.log" >&2; exit 1; }

if [[ -z ${TEST_IMAGE:-} ]]; then
  base=${BASE_IMAGE:-}
  if [[ -z $base ]]; then
    base=evenhand-base:bookworm
    if ! docker image inspect "$base" >/dev/null 2>&1; then
      echo "Making a base image of Debian's packages"
      mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$run/base.tar"
      docker import "$run/base.tar" "$base" >/dev/null
      rm "$run/base.tar"
    fi
  fi
  stamp=$keep/wheels-of-$(sha256sum requirements.lock pyproject.toml infra/images/wheelhouse.sh |
    sha256sum | cut -c1-16)
  if ! [[ -e $stamp ]]; then
    echo "Collecting wheels"
    infra/images/wheelhouse.sh "$python"
    rm -f "$keep"/wheels-of-* && touch "$stamp"
  fi
  export TEST_IMAGE=evenhand-cpu:check
  echo "Building the CPU image"
  infra/images/build.sh cpu "$TEST_IMAGE" --network none --build-arg "BASE_IMAGE=$base" \
    >"$keep/build.log" 2>&1 || { tail -30 "$keep/build.log" >&2; exit 1; }
  tail -1 "$keep/build.log"
fi
"$@"
