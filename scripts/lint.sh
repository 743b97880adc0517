#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lint.sh: the kernel's style (checkpatch), kernel-doc, shellcheck,
# the documentation, one version everywhere, and the self-tests of the check of that, of
# the Makefile, of the cache, of the log judges, of the matrix, of the mutants, of
# pcpuref_compat.h, of the check of the documents' blocks and of the picture of lives.
# Prints what they complain about; the last line counts the checks.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_build_packages
# The last two are for docs.sh: what that says when it installs them is no complaint.
need_packages shellcheck python3 python3-sphinx perl
kernel_source 6.12
work_dir lint
cd "$top"

passed=0
failed=0

# result NAME: the check's complaints are in $work/out; there must be none.
result()
{
	if [ -s "$work/out" ]; then
		cat "$work/out"
		echo "not ok $1"
		failed=$((failed + 1))
	else
		echo "ok $1"
		passed=$((passed + 1))
	fi
}

find . -name '.?*' -prune -o -type f -name '*.[ch]' ! -name '*.mod.c' \
	-print | sed 's,^\./,,' | sort >"$work/c-files"
find . -name '.?*' ! -name .ci -prune -o -type f \
	\( -name '*.sh' -o -path ./.ci/run \) -print |
	sed 's,^\./,,' | sort >"$work/sh-files"

# A module outside of the tree has to ask for the version of the kernel.
# shellcheck disable=SC2046 # a list of words
"$source/scripts/checkpatch.pl" --no-tree --strict --terse \
	--ignore LINUX_VERSION_CODE \
	--show-types --no-summary --max-line-length=100 -f \
	$(grep -v '^pcpuref\.c$\|^pcpuref_compat\.h$' "$work/c-files") >"$work/out" 2>&1 || :
# One macro there defines and exports four functions at a time.
"$source/scripts/checkpatch.pl" --no-tree --strict --terse \
	--ignore EXPORT_SYMBOL,MULTISTATEMENT_MACRO_USE_DO_WHILE,MACRO_ARG_REUSE \
	--show-types --no-summary --max-line-length=100 -f \
	pcpuref.c >>"$work/out" 2>&1 || :
# It does not know _Generic, which never evaluates what it chooses by.
"$source/scripts/checkpatch.pl" --no-tree --strict --terse \
	--ignore NEW_TYPEDEFS,SPACING,CAMELCASE,MACRO_ARG_REUSE,MACRO_ARG_UNUSED,EMBEDDED_FILENAME \
	--show-types --no-summary --max-line-length=100 -f \
	pcpuref_compat.h >>"$work/out" 2>&1 || :
# It must be able to find something.
echo 'void f(){}' >"$work/defect.c"
"$source/scripts/checkpatch.pl" --no-tree --strict --terse --show-types -f "$work/defect.c" \
	2>&1 | grep -q FUNCTION_WITHOUT_ARGS || echo "checkpatch does not find a defect" >>"$work/out"
# What it keeps for its next run.
rm -f .checkpatch-camelcase.*
result checkpatch

# shellcheck disable=SC2046
"$source/scripts/kernel-doc" -none -Wall $(grep -v '^kunit/\|^selftests/\|^bench/' \
	"$work/c-files") >"$work/out" 2>&1 || :
result kernel-doc

# shellcheck disable=SC2046
shellcheck -x $(cat "$work/sh-files") >"$work/out" 2>&1 || :
result shellcheck

# Some fail without a word.
{
	"$top/scripts/docs.sh" "$work/docs" >/dev/null || echo "docs.sh failed"
	for check in api.sh blocks.py reference.sh scripts.sh machine.py; do
		"Documentation/check-$check" || echo "check-$check failed"
	done
} >"$work/out" 2>&1
result documentation

# self_test NAME SCRIPT: prints KTAP
self_test()
{
	if "$2" >"$work/self-test" 2>&1; then
		: >"$work/out"
	else
		{
			grep -v "^ok " "$work/self-test" || :
			echo "$2 failed"
		} >"$work/out"
	fi
	result "$1"
}

scripts/check-version.sh >"$work/out" 2>&1 || echo "check-version.sh failed" >>"$work/out"
result version

self_test version-check scripts/test-version.sh
self_test make scripts/test-make.sh
self_test cache scripts/test-cache.sh
self_test log-judges scripts/test-warnings.sh
self_test steps scripts/test-steps.sh
self_test vm scripts/test-vm.sh
self_test matrix scripts/test-matrix.sh
self_test mutants scripts/test-mutants.sh
self_test compat scripts/test-compat.sh
self_test blocks scripts/test-blocks.sh
self_test lives scripts/test-lives.sh

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
