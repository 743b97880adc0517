#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# pcpuref_kref, and the three lookups that the documentation shows: the sample
# as it is, and the same code under load. SECONDS_EACH says for how long.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_kref seconds="${SECONDS_EACH:-3}"
run_cases

mark
why=
if module_path pcpuref_lookup >/dev/null; then
	# It does not load unless all three do what they should.
	why=$(load pcpuref_lookup && unload pcpuref_lookup) || :
	complaints=$(take_slice)
	grep -q 'pcpuref_lookup: 3 objects opened, 3 closed$' "$tmp/slice" ||
		why="$why it does not say what it did"
	verdict sample "$why$complaints"
else
	skip sample "no pcpuref_lookup.ko"
fi

end pcpuref_test_kref
