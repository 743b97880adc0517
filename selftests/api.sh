#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A second module calls every symbol that pcpuref.ko exports, and those calls
# do what they should. What is exported is what the kernel says it is, except
# for what belongs to tracepoints, which trace.sh is about.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_api
run_cases

sed -n 's/^[0-9a-f]* . __ksymtab_\([^ \t]*\)[ \t]*\[pcpuref\]$/\1/p' \
	/proc/kallsyms |
	grep -v '^__\(tracepoint\|traceiter\|SC[KT]__tp_func\)_' | sort >"$tmp/exported"
sort "$parameters/called" >"$tmp/called"

if [ ! -s "$tmp/exported" ]; then
	skip every_export_is_called "/proc/kallsyms does not list exports"
else
	diag "$(wc -l <"$tmp/exported") symbols are exported"
	why=
	while read -r symbol; do
		grep -qx "$symbol" "$tmp/called" || why="$why $symbol"
	done <"$tmp/exported"
	verdict every_export_is_called "${why:+not called:$why}"
	why=
	while read -r symbol; do
		grep -qx "$symbol" "$tmp/exported" || why="$why $symbol"
	done <"$tmp/called"
	verdict every_call_is_of_an_export "${why:+not exported:$why}"
fi

end pcpuref_test_api
