# granary in a container: built from sources, run without a shell, a package manager or root.
#
#   docker build -t granary .
#   docker run -p 127.0.0.1:8000:8000 -p 127.0.0.1:6379:6379 -v granary:/data granary \
#       up --insecure-no-auth
#
# Without that flag it serves only with API keys: `docker run -v granary:/data granary keys add …`.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# zstd and the allocator are C; everything else is Rust.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . .
# The image's own toolchain is the pinned one; rustup must not fetch its components again.
RUN rm rust-toolchain.toml \
    && cargo build --release --locked --bin granary \
    && mkdir /volume

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/granary /usr/local/bin/granary
COPY --from=build /build/registry.yaml /etc/granary/registry.yaml
# A new volume takes the owner of the directory it covers.
COPY --from=build --chown=nonroot:nonroot /volume /data
ENV GRANARY_DATA_DIR=/data \
    GRANARY_REGISTRY=/etc/granary/registry.yaml \
    GRANARY_HTTP=0.0.0.0:8000 \
    GRANARY_RESP=0.0.0.0:6379
USER 65532:65532
VOLUME /data
EXPOSE 8000 6379
# The first start writes demo data and trains, unless /data/raw has tables.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["/usr/local/bin/granary", "health", "--socket"]
ENTRYPOINT ["/usr/local/bin/granary"]
CMD ["up"]
