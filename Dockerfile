# Images of attnd; deploy/container/README.md says how to build and run them, and what is in them.
#   docker build --tag attnd:cpu .
#   docker build --tag attnd:cuda --target cuda .

FROM debian:12 AS toolchain
WORKDIR /src
# What seldom changes first, so that its layer is kept.
COPY Makefile ./
COPY scripts/install_packages.sh scripts/
RUN scripts/install_packages.sh make ca-certificates && make deps TEST_PACKAGES=

FROM toolchain AS build-cpu
COPY . .
RUN cmake --preset release -DATTN_BUILD_TESTS=OFF -DATTN_ENABLE_CUDA=OFF \
 && cmake --build --preset release --target attnd attn \
 && deploy/container/install_tree.sh build/release /tree

# NVIDIA's packages for Debian 12. The driver's own library, libcuda.so.1, belongs to the node and
# is mounted by its container toolkit.
FROM toolchain AS build-cuda
ARG CUDA=13-0
ADD https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb /tmp/
RUN dpkg --install /tmp/cuda-keyring_1.1-1_all.deb \
 && scripts/install_packages.sh \
      cuda-nvcc-${CUDA} cuda-cudart-dev-${CUDA} cuda-nvrtc-${CUDA} libcudnn9-cuda-13
COPY . .
# A toolkit that is not found is an error here. The libraries named are loaded at run time.
RUN cmake --preset release -DATTN_BUILD_TESTS=OFF -DCMAKE_REQUIRE_FIND_PACKAGE_CUDAToolkit=ON \
      -DCUDAToolkit_ROOT=/usr/local/cuda \
 && cmake --build --preset release --target attnd attn \
 && deploy/container/install_tree.sh build/release /tree \
      /usr/local/cuda/lib64/libcudart.so.13 /usr/local/cuda/lib64/libnvrtc.so.13 \
      /usr/local/cuda/lib64/libnvrtc-builtins.so.13.? \
      /usr/lib/x86_64-linux-gnu/libcudnn*.so.9

FROM debian:12-slim AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="attnd" \
      org.opencontainers.image.description="Attention as a service: a gRPC server" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="docker.io/library/debian:12-slim"
# The only place that is written to, and only for a Unix socket.
RUN install --directory --owner=10001 --group=10001 /run/attnd
VOLUME /run/attnd
# A number, or Kubernetes cannot see that it is not root.
USER 10001:10001
WORKDIR /
# Calls, and /metrics.
EXPOSE 8601 8602
# The server drains; a second one ends it at once.
STOPSIGNAL SIGTERM
# For engines alone; Kubernetes asks by itself. The container's ATTN_SERVER and ATTN_TLS_* steer
# it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["/usr/local/bin/attn", "--timeout", "2s", "health"]
ENTRYPOINT ["/usr/local/bin/attnd"]
CMD ["--config", "/etc/attnd/server.yaml"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /tree/etc/ /etc/
COPY --from=build-cuda /tree/usr/ /usr/

# The last one is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=build-cpu /tree/etc/ /etc/
COPY --from=build-cpu /tree/usr/ /usr/
