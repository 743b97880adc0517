#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms.sh built KERNEL ARCH KDIR
# dkms.sh installed|removed KERNEL ARCH LIB-MODULES
#
# What dkms calls, by dkms.conf, after these steps: it installs modules only, and the
# modules that depend on them also need headers and Module.symvers.

set -eu
# dkms calls DKMS-TREE/pcpuref/VERSION/{build,source}/scripts/dkms.sh. "source" is a link:
# hence by name.
tree=${0%/*/scripts/dkms.sh}
if [ "$tree" = "$0" ] || [ $# -ne 4 ]; then
	echo "dkms.sh: called by dkms only, see dkms.conf" >&2
	exit 1
fi
kept=$tree/$2/$3/dev
dev=$4/$2/pcpuref

case $1 in
built)
	rm -rf "$kept"
	make --no-print-directory -C "$tree/build" KDIR="$4" KERNELRELEASE="$2" \
		DESTDIR="$kept" INSTALL_MOD_PATH= headers_install
	;;
installed)
	rm -rf "$dev"
	cp -R "$kept/lib/modules/$2/pcpuref" "$dev"
	;;
removed)
	# dkms before 3.0 also calls this for a version that is not the installed one.
	[ -e "${tree%/*}/kernel-$2-$3" ] || rm -rf "$dev"
	;;
esac
