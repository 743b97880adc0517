# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that shows the demo (demo.sh).

export MODDIR=/modules
cd /samples || exit 1
sh ./demo-init.sh
rc=$?
# For the picture. Lines that begin so are kept and not shown, see guest_run().
dmesg | sed 's/^/pcpuref-guest: log: /'
echo "demo: exit $rc"
exit $rc
