#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# deb.sh [FOLDER]: the Debian packages pcpuref-dkms and pcpuref-dev, and their source
# package, in FOLDER (else in the cache). Built in a copy of the sources; lintian has to
# have nothing to say of them.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

out=${1:-$cache/deb}
need_packages build-essential dpkg-dev debhelper dh-dkms lintian
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

mkdir "$work/pcpuref"
tree_files | tar -C "$top" -cf - -T - | tar -C "$work/pcpuref" -xf -
cd "$work/pcpuref"
say "building the Debian packages"
dpkg-buildpackage -us -uc >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	die "cannot build the Debian packages"
}
cd "$work"
say "looking at them with lintian"
lintian --allow-root --fail-on error,warning,info --display-info pcpuref_*.changes >log 2>&1 || {
	cat log >&2
	die "lintian finds fault with the Debian packages"
}
rm -rf log pcpuref
for f in *; do
	mv "$f" "$out/"
	echo "$out/$f"
done
