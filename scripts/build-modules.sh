#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# build-modules.sh KDIR OUTDIR [VARIABLE=VALUE]... [SUBDIR]...
#
# Build the core and the modules of the given subfolders against KDIR, in a
# copy of the sources at OUTDIR: the checkout stays clean, and one checkout
# serves many kernels. Only what changed is copied, so only that is compiled.
# Variables go to kbuild (ARCH=um), and so do those of BUILD_VARS; BUILD_ROOT is the
# folder of another system, whose compiler is to be used (stock-kernel.sh). Silent
# unless something is wrong; a compiler warning is.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -ge 2 ] || die "usage: $0 KDIR OUTDIR [VARIABLE=VALUE]... [SUBDIR]..."
kdir=$1
out=$2
shift 2
[ -e "$kdir/Makefile" ] || die "not a folder that modules can be built against: '$kdir'"
# What is there is replaced.
case $(realpath -m "$out")/ in
"$top"/*) die "cannot build in the sources: $out" ;;
esac

subdirs=
vars=
for a; do
	case $a in
	*=*) vars="$vars $a" ;;
	*)
		# A part that this checkout lacks is no reason to fail.
		[ ! -e "$top/$a/Kbuild" ] || subdirs="$subdirs ${a%/}/"
		;;
	esac
done

mkdir -p "$out"
exec 8>"$out/.lock"
flock 8

sources()
{
	find . -name '.?*' -prune -o -type f \
		\( -name '*.[chS]' -o -name Kbuild -o -path './compat/*' \) \
		! -name '*.mod.c' -print
}
# What was built in the checkout itself is no source: hence the ".mod.c".
(cd "$top" && sources) | sort >"$out/.sources"
(cd "$out" && sources) | sort >"$out/.copies"
awk 'NR == FNR { keep[$0]; next } !($0 in keep)' \
	"$out/.sources" "$out/.copies" | while read -r f; do
	rm -f "$out/$f" "$out/${f%.c}.o" "$out/${f%.c}.ko"
done

# sums FOLDER LIST: one process for all of them.
sums()
{
	(cd "$1" && xargs -r sha256sum) <"$2" | sort
}
sums "$top" "$out/.sources" >"$out/.source-sums"
comm -12 "$out/.sources" "$out/.copies" >"$out/.both"
sums "$out" "$out/.both" >"$out/.copy-sums"
comm -23 "$out/.source-sums" "$out/.copy-sums" | while read -r _ f; do
	mkdir -p "$out/${f%/*}"
	cp "$top/$f" "$out/$f"
done

# Modules of a subfolder that is not asked for now must not be taken for
# fresh ones.
find "$out" -name '*.ko' -exec rm -f {} +

# shellcheck disable=SC2086 # a list of words
set -- -C "$kdir" M="$out" PCPUREF_SUBDIRS="$subdirs" ${BUILD_VARS:-} $vars
rc=0
in_root "${BUILD_ROOT:-}" "$out" make "$@" -j"$(nproc)" modules \
	>"$out/build.log" 2>&1 8>&- || rc=$?

problems=$(grep -E 'warning:|WARNING:|[Ee]rror:|\*\*\*' "$out/build.log" |
	grep -v 'the compiler differs from the one used' || :)
if [ "$rc" -ne 0 ] || [ -n "$problems" ]; then
	grep -vE '^(  [A-Z]+( \[M\])? |Skipping BTF|make(\[[0-9]+\])?: (Enter|Leav))' \
		"$out/build.log" >&2 || :
	# Seen once, a warning must be seen again: compile anew next time.
	find "$out" -name '*.o' -exec rm -f {} +
	die "building modules against $kdir failed, see $out/build.log"
fi
