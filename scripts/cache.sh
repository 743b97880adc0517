#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# cache.sh list|clean: what is in the cache, with sizes; or drop it.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

case ${1:-} in
list)
	echo "$cache"
	du -sh "$cache"/* 2>/dev/null | sort -rh | sed "s,	$cache/,  ,"
	du -sh "$cache" | sed 's,	.*,  in all,'
	;;
clean)
	# A folder that was there before us may have other things in it.
	[ -e "$cache/CACHEDIR.TAG" ] || [ "${cache##*/}" = pcpuref ] ||
		die "$cache was not made by this: remove it by hand"
	rm -rf "$cache"
	;;
*) die "usage: $0 list|clean" ;;
esac
