#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# cache.sh list|clean: what is in the cache, with sizes; or drop it. list first drops what
# was made of checkouts that are gone.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

# unused FOLDER: no run holds a lock there
unused()
{
	for _l in "$1"/*/.lock; do
		[ ! -e "$_l" ] || flock -n "$_l" true || return 1
	done
}

case ${1:-} in
list)
	echo "$cache"
	for f in "$cache"/work-*/checkout; do
		[ -e "$f" ] || continue
		[ -d "$(cat "$f")" ] || ! unused "${f%/*}" || {
			say "dropping ${f%/checkout}: there is no $(cat "$f") any more"
			rm -rf "${f%/*}"
		}
	done
	du -sh "$cache"/* 2>/dev/null | sort -rh | sed "s,	$cache/,  ," |
		while read -r size name; do
			whose=$cache/$name/checkout
			[ ! -e "$whose" ] || name="$name  $(cat "$whose")"
			echo "$size  $name"
		done
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
