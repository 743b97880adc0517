#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# initramfs.sh OUT TASK [SRC:DST]...
#
# Make an initramfs of busybox, which boots, runs the shell script TASK and
# powers off (guest-init.sh). SRC is a file or a folder of the host; DST is
# where it goes, and a folder there if it ends in "/". VM_BUSYBOX is another busybox
# than that of this machine (stock-kernel.sh).

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -ge 2 ] || die "usage: $0 OUT TASK [SRC:DST]..."
out=$1
task=$2
shift 2
need_packages busybox-static cpio

root=$(mktemp -d "$cache/initramfs.tmp.$$.XXXXXX")
trap 'rm -rf "$root"' EXIT
for d in bin dev proc sys tmp; do
	mkdir "$root/$d"
done
cp "$(dpkg -L busybox-static | grep -m 1 '/bin/busybox$')" "$root/bin/busybox"
# Hard links, all of them by one process.
"$root/bin/busybox" --install "$root/bin"
# Another processor's has the same names: all of them are this file.
[ -z "${VM_BUSYBOX:-}" ] || cat "$VM_BUSYBOX" >"$root/bin/busybox"
cp "$top/scripts/guest-init.sh" "$root/init"
cp "$task" "$root/task"
chmod 755 "$root/init"

for pair; do
	src=${pair%%:*}
	dst=$root/${pair#*:}
	case $dst in
	*/) mkdir -p "$dst" ;;
	*) mkdir -p "${dst%/*}" ;;
	esac
	cp -R "$src" "$dst"
done

(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$out.tmp.$$"
mv "$out.tmp.$$" "$out"
