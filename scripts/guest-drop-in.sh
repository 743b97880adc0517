# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The first part of the task of drop-in.sh's machines, which has put before it what to
# run. The second part is that of all selftests.

export PATH=/sbin:/bin
# No udev here: the tools make their nodes themselves, and wait for nobody.
export MDADM_NO_UDEV=1 DM_DISABLE_UDEV=1
mkdir -p /run/mdadm /dev/mapper
