# The video probe, its worker, and exactly the libraries that it loads; no shell.
# Build from the repository's root:
#   docker build -f images/sidecar.Dockerfile -t debugsidecar/sidecar:0.1.0 .
FROM golang:1.26-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN apt-get -qq update && apt-get -qq -y --no-install-recommends install ca-certificates g++ \
	libopencv-{core,imgproc,imgcodecs,videoio,highgui,video,calib3d,objdetect,dnn,photo,features2d,stitching}-dev
WORKDIR /src
COPY . .
# What `make images` runs gathers the files. manifest.json names the configuration
# first, then the layers in their order.
RUN go run ./images -o /images sidecar && mkdir /image && \
	for blob in $(tar -xOf /images/sidecar.tar manifest.json | grep -o 'blobs/sha256/[0-9a-f]*' | tail -n +2); do \
		tar -xOf /images/sidecar.tar "$blob" | tar -xz -C /image; \
	done

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENV PATH=/usr/sbin:/usr/bin
ENTRYPOINT ["/usr/bin/sidecar"]
