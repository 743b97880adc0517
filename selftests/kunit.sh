#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The KUnit suites, on a kernel that has no KUnit: a module for each suite, see
# kunit/. KUNIT_SUITES="life kill" chooses some of them, KUNIT_WITHOUT="misuse"
# leaves some out.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# The suites that there are modules of.
suites()
{
	for dir in "${MODDIR:-}" "$here/kunit"; do
		for ko in "$dir"/pcpuref_kunit_*.ko; do
			[ ! -e "$ko" ] || basename "$ko" .ko
		done
	done | sed 's/^pcpuref_kunit_//' | sort -u
}

# run_suite NAME: a result for each of its cases, nested, and one for the suite.
# Each begins with a fresh core, which tells some things only once.
run_suite()
{
	module=pcpuref_kunit_$1
	outer_tests=$tests
	outer_failures=$failures
	tests=0
	failures=0
	indent="    "
	started=$(date +%s)

	echo "${indent}KTAP version 1"
	diag "Subtest: pcpuref_$1"
	mark
	if why=$(load pcpuref && load "$module"); then
		parameters=/sys/module/$module/parameters
		run_cases
		mark
		why=$(unload "$module") || stuck=1
		[ -n "$stuck" ] || why=$(unload pcpuref) || :
	fi
	verdict module "$why$(take_slice)"
	diag "$(($(date +%s) - started)) s"
	echo "${indent}1..$tests"

	indent=
	why=
	[ "$failures" -eq 0 ] || why="$failures of $tests failed"
	tests=$outer_tests
	failures=$outer_failures
	verdict "pcpuref_$1" "$why"
}

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
names=${KUNIT_SUITES:-$(suites)}
[ -n "$names" ] || skip_all "no pcpuref_kunit_*.ko; set MODDIR (or a KUnit of the kernel's runs them)"
echo "KTAP version 1"
begin_without_modules
# After a suite that hangs no other one says much.
stuck=
for suite in $names; do
	case " ${KUNIT_WITHOUT:-} " in
	*" $suite "*) continue ;;
	esac
	if [ -z "$stuck" ]; then
		run_suite "$suite"
	else
		not_ok "pcpuref_$suite" "not run: the machine is in no good state"
	fi
done
finish
