#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The state machine: a scenario in each case, see test_modules/. Most of them
# are in kunit.sh.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_states
run_cases
end pcpuref_test_states
