#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Explore the model of the machine with spin: no error in it as it is, and an
# error in each of the ways in which it can be broken. Needs spin and a C
# compiler; one to five minutes and 700 MB. Output is KTAP; exit 4 is a skip.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"

echo "KTAP version 1"
for tool in spin cc; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "1..0 # SKIP no $tool"
		exit 4
	fi
done

# What is explored in full: each takes a tenth to one minute.
bounds="
-DUSERS=1 -DREQUESTS=4
-DUSERS=1 -DREQUESTS=3 -DCONTROLLERS=2
-DUSERS=2 -DREQUESTS=2
"
bugs=$(sed -n 's/^#ifn\{0,1\}def \(BUG_[A-Z_]*\)$/\1/p' "$here/machine.pml" | sort -u)

# Explore with macros "$@"; the verifier's report is in ./report.
explore() {
	rm -f pan report
	if spin "$@" -a "$here/machine.pml" >log 2>&1 &&
	   cc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=512 -o pan pan.c >>log 2>&1 &&
	   ./pan -m100000 -w24 >report 2>&1; then
		return 0
	fi
	sed 's/^/# /' log
	return 1
}

number=0
failed=0

result() {
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		failed=$((failed + 1))
		echo "not ok $number $2"
		sed 's/^/# /' report 2>/dev/null || :
	fi
}

right() {
	# shellcheck disable=SC2086 # $1 is several macros
	explore $1 &&
		grep -q 'errors: 0$' report &&
		! grep -q -e 'Search not completed' -e 'max search depth too small' report
}

wrong() {
	explore -DUSERS=1 -DREQUESTS=3 "-D$1" &&
		grep -q -e 'assertion violated' -e 'invalid end state (' report
}

# Here-documents rather than pipes: the counters must live on.
while read -r macros; do
	if [ -n "$macros" ]; then
		status=0
		right "$macros" || status=1
		result "$status" "machine $macros"
	fi
done <<END
$bounds
END

while read -r bug; do
	status=0
	wrong "$bug" || status=1
	result "$status" "finds $bug"
done <<END
$bugs
END

echo "1..$number"
echo "# passed $((number - failed)), failed $failed"
[ "$failed" = 0 ]
