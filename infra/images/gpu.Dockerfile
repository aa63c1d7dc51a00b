# The image of the steps with a GPU. From the repository's root: infra/images/build.sh gpu TAG
# An image by its digest: --build-arg BASE_IMAGE=NAME@sha256:...  Any with Python 3.11 or 3.12 does.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# --- build: everything is installed here, and only the finished environment goes on -------------
FROM ${BASE_IMAGE} AS build
# Extras of pyproject.toml.
ARG EXTRAS="pipelines tracking stores faces"
# PyPI's torch brings CUDA's libraries; of the machine it needs the driver alone.
ARG PIP_INDEX_OPTIONS=""
# In place of the lock's onnxruntime, which has no GPU; empty: faces are detected on the CPU. PyPI
# had no onnxruntime-gpu of the lock's version. CUDA 13 and cuDNN 9, as PyPI's torch of the lock.
ARG ONNXRUNTIME_GPU="1.31.1"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/evenhand
RUN python3 -m venv /opt/installer
WORKDIR /src
# Empty but for its README, or a folder of wheels that the build takes instead of an index.
COPY infra/images/wheels /wheels
COPY infra/images/install.py requirements.lock pyproject.toml ./
RUN /opt/installer/bin/python install.py packages --extras "${EXTRAS}" --wheels /wheels \
    --options="${PIP_INDEX_OPTIONS}" --onnxruntime-gpu="${ONNXRUNTIME_GPU}"
COPY README.md LICENSE ./
COPY fairness_core fairness_core
COPY components components
COPY pipelines pipelines
RUN /opt/installer/bin/python install.py project --wheels /wheels --options="${PIP_INDEX_OPTIONS}"

# --- run: base, the environment, and a user that owns nothing of it ------------------------------
FROM ${BASE_IMAGE} AS run
RUN groupadd --gid 10001 evenhand \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /tmp \
       --shell /usr/sbin/nologin evenhand \
    && rm -rf /usr/local/lib/python3.*/site-packages/pip* \
       /usr/local/lib/python3.*/site-packages/setuptools* /usr/local/lib/python3.*/ensurepip \
       /usr/local/bin/pip* /usr/lib/python3.*/ensurepip /usr/share/python-wheels
COPY --from=build /opt/evenhand /opt/evenhand
# The root file system may be read-only: all that libraries write by themselves goes to /tmp.
ENV PATH=/opt/evenhand/bin:${PATH} HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER 10001:10001
# What was removed is missed by nothing, and no import writes outside /tmp.
RUN python3 -c "import insightface, diffusers, mlflow, onnxruntime, torch, transformers" \
    && python3 -c "import kfp.dsl.executor_main, components.cli, pipelines.commands"
# No ENTRYPOINT: Kubeflow replaces it, its local runner does not.
CMD ["evenhand", "--help"]
# Last, so that another commit of the same files repeats no layer.
ARG VERSION=0
ARG REVISION=unknown
# What `evenhand schedule` in a container says it runs.
ENV EVENHAND_REVISION=${REVISION}
LABEL org.opencontainers.image.title="evenhand-gpu" \
      org.opencontainers.image.description="Evenhand's pipeline steps, with a GPU" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
