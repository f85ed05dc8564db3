# Orin and Thor with JetPack 7.2 (L4T 39.2, Ubuntu 24.04, Python 3.12, TensorRT 10.16).
#
#   docker build --file docker/jetpack7.Dockerfile --tag mera-edge:jetpack7 .
#   docker run --rm --runtime nvidia mera-edge:jetpack7 doctor
#
# NOT BUILT BY DOCKER, NOT RUN ON A JETSON; rehearsed. TensorRT is never imported while it is built:
# its libraries need files of the host that are there only at run time. The name of the base image was
# not verified: give another with --build-arg BASE=.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r39.2.0
# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
# JetPack's Python packages, TensorRT among them, are the system's.
RUN python3 -m venv --system-site-packages /opt/mera
WORKDIR /src
COPY requirements.lock /src/
RUN /opt/mera/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock \
 && /opt/mera/bin/pip install 'cuda-bindings==13.2.0'
COPY pyproject.toml LICENSE MODEL_LICENSES.md /src/
COPY edge /src/edge
COPY train/mera_train /src/train/mera_train
COPY train/configs /src/train/configs
COPY calibration/mera_calibration /src/calibration/mera_calibration
COPY export/mera_export /src/export/mera_export
RUN /opt/mera/bin/pip install --no-deps .

# hadolint ignore=DL3006
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --groups audio,video --create-home mera \
 && mkdir /models /engines && chown mera /models /engines
COPY --from=build /opt/mera /opt/mera
ENV PATH=/opt/mera/bin:$PATH PYTHONUNBUFFERED=1 \
    MERA_EDGE_MODELS=/models MERA_EDGE_ENGINES=/engines
USER 10001
VOLUME ["/models", "/engines"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["mera-edge"]
CMD ["doctor"]
