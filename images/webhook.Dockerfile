# The webhook: one static binary on nothing. Build from the repository's root:
#   docker build -f images/webhook.Dockerfile -t debugsidecar/webhook:0.1.0 .
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" -o /webhook ./webhook

FROM scratch
COPY --from=build /webhook /usr/bin/webhook
USER 65532:65532
ENTRYPOINT ["/usr/bin/webhook"]
