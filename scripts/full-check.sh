#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# full-check.sh: what .ci/run has no time for. All kernels, both debug kernels with all
# suites and ten minutes of stress, all mutants, the suites in kernel trees, the traps of
# percpu_ref, what documents show, drivers of a stock kernel and Linux itself on pcpuref,
# what is measured. Takes hours, goes on after a failure, and ends with a table and the sum.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
exec "$top/scripts/steps.sh" -k <<'END'
make matrix
SECS=600 scripts/debug-check.sh stress blind
make stress SECS=600
make stress KERNEL=6.12-rt SECS=120
make stress KERNEL=6.12-arm64 SECS=120
make mutants
make kunit-tree
make kunit-tree UML=smp
make kselftest
counts 1: make traps
counts 1: scripts/captured.sh check
make drop-in
make drop-in-kernel
# No time that they measure fails them.
counts 1: make bench-native
counts 1: make bench
counts 1: ROUNDS=1 make bench-possible
END
