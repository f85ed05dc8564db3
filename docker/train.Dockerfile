# Training and export with CUDA, on a workstation.
#
#   docker build --file docker/train.Dockerfile --tag mera-edge:train .
#   docker run --rm --gpus all --volume ./data:/data --volume ./runs:/runs mera-edge:train \
#     train face --config face/compact --data /data --out /runs/face
#
# NOT BUILT BY DOCKER, NOT RUN ON A GPU: its steps were rehearsed. The wheels of torch bring CUDA; the
# driver is the host's, by NVIDIA's container toolkit.
FROM ubuntu:24.04 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/mera
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE MODEL_LICENSES.md /src/
COPY edge /src/edge
COPY train /src/train
COPY calibration /src/calibration
COPY export /src/export
RUN /opt/mera/bin/pip install --constraint constraints.txt '.[export]'

FROM ubuntu:24.04
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libsndfile1 python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home mera \
 && mkdir /data /runs && chown mera /data /runs
COPY --from=build /opt/mera /opt/mera
ENV PATH=/opt/mera/bin:$PATH PYTHONUNBUFFERED=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
VOLUME ["/data", "/runs"]
ENTRYPOINT ["mera-edge"]
CMD ["train", "--help"]
