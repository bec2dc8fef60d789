#!/usr/bin/env bash
# Installs the Debian packages that are needed and missing. Asks nothing.
#
#   deps.sh        the certificates by which Go modules are fetched
#   deps.sh race   also a C compiler and the C library's headers, which the race
#                  detector takes
#   deps.sh kernel also what compiles BPF and boots kernels. Where a package can't
#                  be had, the tests that take it are skipped and say so.
#   deps.sh images also OpenCV, with which the capture program is linked
#   deps.sh video  the same, and the cameras that tests play: GStreamer's RTSP
#                  server and ffmpeg
#   deps.sh page   also a browser
#   deps.sh debug  also a terminal that tests type into
#   deps.sh debug  also a terminal to drive commands in, tmux
#   deps.sh bench  also the peers of benchmarks: bpftrace, tini
set -euo pipefail

needed=() wanted=()
has() { command -v "$1" >/dev/null; }
if [[ " $* " == *" race "* ]]; then
	if ! has "${CC:-gcc}"; then
		needed+=(gcc libc6-dev)
	elif ! echo '#include <stdlib.h>' | "${CC:-gcc}" -E - >/dev/null 2>&1; then
		needed+=(libc6-dev)
	fi
fi
if [[ " $* " == *" kernel "* ]]; then
	has clang-19 || wanted+=(clang-19)
	has llvm-strip-19 || wanted+=(llvm-19)
	[[ -e /usr/include/bpf/bpf_helpers.h ]] || wanted+=(libbpf-dev)
	has qemu-system-x86_64 || wanted+=(qemu-system-x86)
	has xz || wanted+=(xz-utils)
	has zstd || wanted+=(zstd)
fi
if [[ " $* " == *" images "* || " $* " == *" video "* ]]; then
	has g++ || wanted+=(g++)
	for package in libopencv-{core,imgproc,imgcodecs,videoio,highgui,video,calib3d,objdetect,dnn,photo,features2d,stitching}-dev; do
		dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
	done
fi
if [[ " $* " == *" video "* ]]; then
	has ffmpeg || wanted+=(ffmpeg)
	for package in python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav; do
		dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
	done
fi
if [[ " $* " == *" page "* ]]; then
	has chromium || has google-chrome || wanted+=(chromium)
fi
if [[ " $* " == *" debug "* ]]; then
	has tmux || wanted+=(tmux)
fi
if [[ " $* " == *" debug "* ]]; then
	has tmux || wanted+=(tmux)
fi
if [[ " $* " == *" bench "* ]]; then
	has bpftrace || wanted+=(bpftrace)
	has tini || wanted+=(tini)
fi
if [[ -z ${SSL_CERT_FILE:-}${SSL_CERT_DIR:-} && ! -e /etc/ssl/certs/ca-certificates.crt ]]; then
	needed+=(ca-certificates)
fi
[[ ${#needed[@]} -gt 0 || ${#wanted[@]} -gt 0 ]] || exit 0

as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo -n)
if ! has apt-get || ! "${as_root[@]}" true 2>/dev/null; then
	echo "missing, and can't be installed without apt-get and root: ${needed[*]} ${wanted[*]}" >&2
	echo "please install: apt-get install ${needed[*]} ${wanted[*]}" >&2
	[[ ${#needed[@]} -eq 0 ]]
	exit
fi
install() {
	echo "installing $*" >&2
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >&2
}
"${as_root[@]}" apt-get -qq update
[[ ${#needed[@]} -eq 0 ]] || install "${needed[@]}"
if [[ ${#wanted[@]} -gt 0 ]] && ! install "${wanted[@]}"; then
	for package in "${wanted[@]}"; do
		install "$package" || echo "no $package here: the tests that take it are skipped" >&2
	done
fi
