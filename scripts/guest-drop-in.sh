# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machines of drop-in.sh, which has put before it what to run.

export PATH=/sbin:/bin
# No udev here: the tools make their nodes themselves, and wait for nobody.
export MDADM_NO_UDEV=1 DM_DISABLE_UDEV=1
mkdir -p /run/mdadm /dev/mapper
cd /selftests || exit 1
sh ./run.sh
rc=$?
if [ $rc -ne 0 ]; then
	echo "pcpuref-dmesg: begin"
	dmesg
	echo "pcpuref-dmesg: end"
fi
(exit $rc)
