# A stage's image on NVIDIA's Triton: docker build -f deploy/gpu.Dockerfile . ; compose.gpu.yaml says which stage.
# NOT RUN YET by its authors: NVIDIA's image and a GPU with a container engine were not at hand.
#
# 24.10 holds Triton 2.51.0, which is also the release inside the nvidia-pytriton wheel, whose stub it gets, and whose
# Python backend needs a numpy below 2; change all three or none.
FROM nvcr.io/nvidia/tritonserver:24.10-py3

ARG EXTRAS=server,torch
# The image's own names a folder of packages for its Python, which this one's stub must not find.
ENV PYTHONPATH=
ENV PATH=/opt/triptych/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The image's own Python is 3.10.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends software-properties-common \
 && add-apt-repository -y ppa:deadsnakes/ppa \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3.11-venv libpython3.11 \
 && rm -rf /var/lib/apt/lists/* \
 && python3.11 -m venv /opt/triptych
WORKDIR /source
COPY pyproject.toml deploy/dependencies.py ./
RUN python dependencies.py pyproject.toml "$EXTRAS" >requirements.txt && pip install -r requirements.txt
COPY . .
RUN pip install --no-deps .

# The Python backend's stub is built for one Python, the image's for 3.10. The wheel carries the same release's for 3.11
# (the other documented way is to build it: python_backend's README, "Building Custom Python Backend Stub"). A link, for
# the stub finds its CUDA runtime relative to itself.
RUN ln -sf /opt/triptych/lib/python3.11/site-packages/pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
      /opt/tritonserver/backends/python/triton_python_backend_stub
ENV TRIPTYCH_TRITONSERVER=/opt/tritonserver

RUN useradd --uid 10001 --home-dir /var/lib/triptych --no-create-home --shell /usr/sbin/nologin triptych \
 && install -d -o triptych -g triptych /var/lib/triptych /var/lib/triptych-loras
ENV TRIPTYCH_CACHE_DIR=/var/lib/triptych/cache PYTHONUNBUFFERED=1
# Kernels that CUDA, torch and its compiler build are kept on the volume: /tmp lets no library in it be loaded.
ENV CUDA_CACHE_PATH=/var/lib/triptych/cache/cuda \
    TORCHINDUCTOR_CACHE_DIR=/var/lib/triptych/cache/inductor \
    TRITON_CACHE_DIR=/var/lib/triptych/cache/triton
WORKDIR /var/lib/triptych
USER 10001:10001
ENTRYPOINT ["triptych", "stage"]
