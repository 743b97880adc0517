#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# stress.sh [KERNEL [SECS [SEED]]]: selftests/stress.sh in a virtual machine, for that
# long (60) and with that seed (0: a new one). KERNEL as for selftest.sh: 6.12 (default)
# and others of a distribution, kasan, kcsan. Documentation/stress.rst says what it does.
#
# Prints the results and ends with "N passed, N failed, N skipped". STRESS_ONLY=1 leaves
# out what does not depend on SECS: replay, and mistakes that must be found.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

secs=${2:-60}
seed=${3:-0}
for n in "$secs" "$seed"; do
	case $n in
	'' | *[!0-9]*) die "SECS and SEED are numbers, not '$n'" ;;
	esac
done

# The rest of it takes two minutes, and a machine that is emulated several times that.
patience=$((secs + 900))
MODULES="samples holders watch selftests/test_modules" TIMEOUT=$((patience + 120)) \
	exec "$top/scripts/selftest.sh" "${1:-6.12}" SELFTESTS=stress.sh \
	SELFTEST_TIMEOUT=$patience STRESS_SECS="$secs" STRESS_SEED="$seed" \
	${STRESS_ONLY:+STRESS_ONLY=1} log_buf_len=8M
