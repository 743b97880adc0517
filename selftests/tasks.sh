#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A client whose gets and puts may be preempted (PCPUREF_READERS_TASKS). To see
# what a wrong grace period does, boot with preempt=full: else nothing is
# preempted in the kernel, and every grace period is right.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_tasks
if grep -qw preempt=full /proc/cmdline; then
	verdict preempted "$(grep -q '(full)' /sys/kernel/debug/sched/preempt || echo "not full")"
fi
run_cases
diag "$(dmesg | sed -n 's/^.*pcpuref_test_tasks: \(from kill\)/\1/p' | tail -n 1)"
end pcpuref_test_tasks
