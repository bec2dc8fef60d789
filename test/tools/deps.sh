#!/usr/bin/env bash
# Installs the Debian packages that are needed and missing. Asks nothing.
#
#   deps.sh       the certificates by which Go modules are fetched
#   deps.sh race  also a C compiler and the C library's headers, which the race
#                 detector takes
set -euo pipefail

missing=()
if [[ ${1:-} == race ]]; then
	if ! command -v "${CC:-gcc}" >/dev/null; then
		missing+=(gcc libc6-dev)
	elif ! echo '#include <stdlib.h>' | "${CC:-gcc}" -E - >/dev/null 2>&1; then
		missing+=(libc6-dev)
	fi
fi
if [[ -z ${SSL_CERT_FILE:-}${SSL_CERT_DIR:-} && ! -e /etc/ssl/certs/ca-certificates.crt ]]; then
	missing+=(ca-certificates)
fi
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo -n)
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
	echo "missing, and can't be installed without apt-get and root: ${missing[*]}" >&2
	echo "please install: apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}" >&2
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" >&2
