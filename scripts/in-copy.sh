#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# in-copy.sh COMMAND...: run COMMAND as root, in a copy of this machine: the same files,
# but what is written goes to memory, and is gone at the end. Exceptions: the cache is the
# real one, the sources cannot be written to. In the copy no kernel is installed, and
# dkms knows no module.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -ge 1 ] || die "usage: $0 COMMAND..."
need_packages util-linux mount

at=$(mktemp -d)
trap 'rmdir "$at"' EXIT
trap 'exit 1' INT TERM

# The mounts are seen by these processes only, and end with them.
# shellcheck disable=SC2016 # for the inner shell
as_root env HOME="$HOME" PCPUREF_CACHE="$cache" NO_INSTALL=1 \
	unshare --mount --propagation private sh -euc '
	at=$1 top=$2 cache=$3
	shift 3
	{
		mount -t tmpfs -o size=2g,mode=755 tmpfs "$at"
		mkdir "$at/upper" "$at/work" "$at/root"
		mount -t overlay -o "lowerdir=/,upperdir=$at/upper,workdir=$at/work" \
			overlay "$at/root"
	} || {
		echo "in-copy: this machine does not let root mount an overlay" >&2
		exit 1
	}
	cd "$at/root"
	for d in dev proc sys; do
		mount --rbind "/$d" "$d"
	done
	for d in tmp lib/modules usr/src var/lib/dkms; do
		chroot . mkdir -p "/$d"
		mount -t tmpfs -o mode=1777 tmpfs ".$(chroot . realpath "/$d")"
	done
	mkdir -p "./$cache" "./$top"
	mount --bind "$cache" "./$cache"
	mount --bind "$top" "./$top"
	mount -o remount,bind,ro "./$top"
	exec chroot . sh -euc "cd \"\$1\"; shift; exec \"\$@\"" sh "$top" "$@"
' sh "$at" "$top" "$cache" "$@"
