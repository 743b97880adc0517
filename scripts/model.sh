#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# model.sh: explores the Promela model of the state machine exhaustively, with every
# seeded defect (spin), and then compares it with the code (agree.sh). Its memory
# ordering is litmus.sh's. Ends with the sum: "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

work_dir model
rc=0
say "exploring the model (minutes)"
"$top/Documentation/models/check.sh" >"$work/explored" || rc=1
cat "$work/explored"
say "comparing it with the code"
"$top/scripts/agree.sh" >"$work/compared" || rc=1
cat "$work/compared"
add_up "$work/explored" "$work/compared" || rc=1
exit "$rc"
