#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# model.sh: what is proved about the state machine rather than tested. Explores the
# Promela model of it exhaustively, with every seeded defect (spin), and runs the
# litmus tests of its memory ordering (herd7; skipped where that is not to be had).
# Ends with the sum: "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

work_dir model
rc=0
echo "== the state machine"
"$top/Documentation/models/check.sh" >"$work/machine" || rc=1
cat "$work/machine"
echo
echo "== memory ordering"
status=0
"$top/Documentation/models/litmus/run.sh" >"$work/litmus" || status=$?
cat "$work/litmus"
echo
# 4: all skipped.
[ "$status" -eq 0 ] || [ "$status" -eq 4 ] || rc=1
add_up "$work/machine" "$work/litmus" || rc=1
exit "$rc"
