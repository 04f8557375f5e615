# The bridge as an image: one static binary, no shell, no root, nothing to write to. `make image`
# builds it. Both base images are arguments, for mirrors and for bases of your own.
ARG BUILD_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd cmd
COPY pkg pkg
COPY static static
ARG TARGETOS TARGETARCH VERSION REVISION
# The same commit and version make the same bytes: no paths, no time, no build id of the linker.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -o /tikbridge \
    -ldflags "-s -w -buildid= -X main.version=$VERSION -X main.commit=$REVISION" ./cmd/tikbridge

FROM ${BASE_IMAGE}
COPY --from=build /tikbridge /tikbridge
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/tikbridge", "healthcheck"]
ENTRYPOINT ["/tikbridge"]
CMD ["serve"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="tikbridge" \
      org.opencontainers.image.description="Sign in with TikTok for apps on Supabase" \
      org.opencontainers.image.source="https://github.com/tikbridge/tikbridge" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
