#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-installs.sh [KERNEL]: each way to install pcpuref, one after the other: by make (for
# KERNEL, 6.12), by dkms, as a Debian package. Ends with the sum.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

# What is wrong with KERNEL is said before the others run.
"$top/scripts/stock-kernel.sh" "${1:-6.12}" >/dev/null
work_dir installs
rc=0
for t in install dkms deb; do
	echo "== scripts/test-$t.sh"
	rm -f "$work/$t"
	case $t in
	install) "$top/scripts/test-$t.sh" "${1:-6.12}" ;;
	*) "$top/scripts/test-$t.sh" ;;
	esac >"$work/$t" || rc=1
	cat "$work/$t"
	echo
done
add_up "$work/install" "$work/dkms" "$work/deb" || rc=1
exit "$rc"
