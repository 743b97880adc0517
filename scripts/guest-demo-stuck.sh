# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that shows a stuck reference (demo-stuck.sh).

export MODDIR=/modules
for word in $(cat /proc/cmdline); do
	case $word in
	stuck_secs=*) export STUCK_SECS="${word#*=}" ;;
	stuck_arg=*) export STUCK_ARGS="${STUCK_ARGS:-} ${word#*=}" ;;
	esac
done
cd /samples || exit 1
sh ./demo-stuck-init.sh
rc=$?
echo "demo-stuck: exit $rc"
exit $rc
