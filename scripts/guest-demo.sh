# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that shows the demo (demo.sh).

export MODDIR=/modules
cd /samples || exit 1
sh ./demo-init.sh
rc=$?
echo "demo: exit $rc"
exit $rc
