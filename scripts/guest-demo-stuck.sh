# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that shows a stuck reference (demo-stuck.sh).

export MODDIR=/modules
words=$(tr ' ' '\n' </proc/cmdline)
stuck_secs=$(echo "$words" | sed -n 's/^stuck_secs=//p')
[ -z "$stuck_secs" ] || export STUCK_SECS="$stuck_secs"
STUCK_ARGS=$(echo "$words" | sed -n 's/^stuck_arg=//p' | tr '\n' ' ')
export STUCK_ARGS
cd /samples || exit 1
# Room for all events, so that none is overwritten.
echo 8192 >/sys/kernel/tracing/buffer_size_kb
export TRACE=/tmp/trace
sh ./demo-stuck-init.sh
rc=$?
# For the picture. Lines that begin so are kept and not shown, see guest_run().
sed 's/^/pcpuref-guest: trace: /' "$TRACE"
echo "demo-stuck: exit $rc"
exit $rc
