#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# stock-kernel.sh VERSION: a distribution kernel of Debian, to build modules
# against and to boot in a virtual machine. Nothing gets installed.
#
#   6.12 6.1        Debian 12
#   5.10            Debian 11
#   ...-rt -cloud   the same, PREEMPT_RT or for cloud machines
#
# Prints shell assignments: KDIR (headers), IMAGE (vmlinuz), MODDIR
# (lib/modules/RELEASE) and RELEASE. Fetched once, kept in the cache;
# PCPUREF_REFRESH=1 looks for a newer build.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

version=${1:-6.12}
flavour=
case $version in
*-rt) flavour=rt- ;;
*-cloud) flavour=cloud- ;;
esac
# The meta packages, which follow the newest build.
case ${version%-*} in
6.12)
	suite=bookworm
	meta=6.12-${flavour}amd64
	;;
6.1)
	suite=bookworm
	meta=${flavour}amd64
	;;
5.10)
	suite=bullseye
	meta=${flavour}amd64
	;;
*) die "no kernel $version here: KERNEL= takes 6.12, 6.1 or 5.10, the first two also with -rt,
pcpuref: all with -cloud (7.x: make kunit UML=smp)" ;;
esac

need_build_packages

# The "1" is to be raised when what is done below changes.
dir=$cache/stock-$version-1
lock "stock-$version"
if [ -e "$dir/.complete" ] && [ -z "${PCPUREF_REFRESH:-}" ]; then
	cat "$dir/.complete"
	exit 0
fi

apt_tree "$suite"
image=$(deps "linux-image-$meta" | grep '^linux-image-[0-9]' | head -n 1)
[ -n "$image" ] || die "Debian has no kernel $version for this machine: no package linux-image-$meta"
release=${image#linux-image-}
build=$(version_of "$image")
# Headers of the very build of the image: modules must match its symbols.
headers=linux-headers-$release
[ "$(version_of "$headers")" = "$build" ] ||
	die "no $headers of the build $build (PCPUREF_REFRESH=1 reads the package lists anew)"
set -- "$image=$build" "$headers=$build"
for p in $(deps "$headers"); do
	case $p in
	linux-headers-*-common*) set -- "$@" "$p=$build" ;;
	linux-kbuild-*) set -- "$@" "$p=$(version_of "$p")" ;;
	esac
done

rm -rf "$dir"
tmp=$dir.tmp.$$
mkdir -p "$tmp"
fetch "$tmp" "$@"

# The headers expect to lie in /usr/src.
kdir=usr/src/$headers
for f in "$tmp"/usr/src/linux-headers-*/Makefile \
	"$tmp"/usr/src/linux-headers-*/.kernelvariables; do
	[ -e "$f" ] || continue
	# Any gcc does for a test; the one of Debian 11 is not to be had.
	sed -i -e "s,/usr/src/linux-headers-,$dir/usr/src/linux-headers-,g" \
		-e 's,gcc-[0-9][0-9]*$,gcc,' "$f"
done
# Type information would need pahole, and no test looks at it.
rm -f "$tmp/$kdir/vmlinux"

find "$tmp/usr" -type l | while read -r l; do
	t=$(readlink "$l")
	case $t in
	/usr/*) ln -sfn "$dir$t" "$l" ;;
	esac
done

moddir=lib/modules/$release
[ -d "$tmp/$moddir" ] || moddir=usr/lib/modules/$release
for l in build source; do
	rm -f "$tmp/$moddir/$l"
done
ln -s "$dir/$kdir" "$tmp/$moddir/build"

for f in "$kdir/Makefile" "boot/vmlinuz-$release" "$moddir/kernel"; do
	[ -e "$tmp/$f" ] || die "the packages hold no $f"
done
{
	echo "KDIR=$(quote "$dir/$kdir")"
	echo "IMAGE=$(quote "$dir/boot/vmlinuz-$release")"
	echo "MODDIR=$(quote "$dir/$moddir")"
	echo "RELEASE=$(quote "$release")"
} >"$tmp/.complete"
mv "$tmp" "$dir"
cat "$dir/.complete"
