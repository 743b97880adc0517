#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-blocks.sh: check-blocks.py accepts the documents as they are, and finds each kind
# of block that no test covers; check-scripts.sh finds a script that no page tells of.
# Prints KTAP.
#
# shellcheck disable=SC2016 # backquotes of Markdown, variables of other scripts

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

work_dir blocks
rm -rf "$work/tree"
mkdir "$work/tree"
{
	tree_files
	echo ./.ci/run
	echo ./.github/workflows/check.yml
} | tar -C "$top" -cf - -T - | tar -C "$work/tree" -xf -
cd "$work/tree"

# says NAME WANTED [OPTION...]: of what $check says; "" if nothing
check="check-blocks.py"
says()
{
	_name=$1
	_wanted=$2
	shift 2
	_why=
	if Documentation/"$check" "$@" >"$work/out" 2>&1; then
		[ -z "$_wanted" ] || _why="it is accepted"
	elif [ -z "$_wanted" ] || ! grep -qF "$_wanted" "$work/out"; then
		_why=$(head -n 5 "$work/out")
	fi
	verdict "$_name" "$_why"
}

# defect NAME FILE SED WANTED: one change of the tree, and what is said of it
defect()
{
	cp "$2" "$work/before"
	sed -i "$3" "$2"
	! cmp -s "$2" "$work/before" || die "the defect of $1 changes nothing"
	says "$1" "$4"
	cp "$work/before" "$2"
}

says as_it_is ""
defect no_kind Documentation/stress.rst 's/^\.\. code-block:: sh$/Text::/' "a block of no kind"
defect unknown_kind README.md 's/^```sh$/```bash/' "a block of kind bash"
defect no_language README.md 's/^```console$/```/' "a block of no kind"
defect code README.md 's/^static struct pcpuref users;$/static struct pcpuref user;/' \
	"no source has this c code"
defect kbuild README.md 's/^obj-m := pcpuref_hello.o$/obj-m := other.o/' "no source has this make code"
defect target README.md 's/^make demo /make film /' "no test runs: make film"
defect variable README.md 's/^make stress SECS=60/make stress SECONDS=60/' "no test runs: make stress"
defect variable_of_another README.md 's/^make stress SECS=60/make kunit SECS=60 /' \
	"no test runs: make kunit SECS=60"
defect variable_passed_nowhere Documentation/performance.rst 's/make bench-native /&KERNEL=nonsense-99 /' \
	"no KERNEL=nonsense-99"
defect kernel README.md 's/^make selftest KERNEL=6.1 /make selftest KERNEL=6.2 /' "no KERNEL=6.2"
defect kernel_of_another_target README.md 's/^make selftest KERNEL=6.1 /make demo KERNEL=kasan /' \
	"no KERNEL=kasan"
defect uml README.md 's/^make kunit UML=smp /make kunit UML=smtp /' "no UML=smtp"
defect uml_of_another_target README.md 's/^make kunit UML=smp /make kunit-tree UML=clang /' "no UML=clang"
defect cell Documentation/kernels.rst 's/CELLS="6.1-i386 uml-smp"/CELLS="6.1-i386 uml-smtp"/' \
	"no CELLS=uml-smtp"
defect seconds README.md 's/^make stress SECS=60/make stress SECS=1m/' "no SECS=1m"
defect key_alone Documentation/install.rst 's/ SIGN_CERT=MOK\.der$//' \
	"SIGN_KEY without SIGN_CERT"
defect not_in_any_check scripts/full-check.sh '/^make matrix$/d' "no check runs make matrix"
defect not_in_the_ci .ci/run '/^counts 1: make demo$/d' "no check runs make demo"
defect script Documentation/debug-kernels.rst 's,scripts/debug-check.sh kcsan,scripts/debug.sh kcsan,' \
	"no test runs: scripts/debug.sh kcsan"
defect command Documentation/install.rst 's/^  dkms add \.$/  dkms ad ./' "no test runs: dkms ad ."
defect output README.md 's/ is stuck: killed / is stuck, killed /' "not captured: [   15.649214] pcpuref_watch"
defect field Documentation/debugging.rst 's/ state=dying count=1 shared/ state=dying total=1 shared/' \
	"not captured: "
defect tool_output Documentation/debugging.rst 's/^   => kill_live /   => kill_it /' "not captured: => kill_it"
defect session_command Documentation/debugging.rst 's/^   # cat refs$/   # cat references/' \
	"no test runs: # cat references"
defect printed_anew Documentation/captured.txt 's/ is stuck: killed / is stuck since its kill /' \
	"not captured: [   15.649214] pcpuref_watch"
defect drawing Documentation/design.rst 's/^ *7     module  .*/    insmod pcpuref.ko/' \
	"not a drawing: insmod"
defect not_compiled samples/template/Kbuild 's/template\.o/other.o/' "nothing compiles template.c"
defect not_included Documentation/kref.rst 's,samples/pcpuref_lookup.h,samples/pcpuref_look.h,' \
	"pcpuref_look.h"
defect test_gone scripts/test-dkms.sh 's/does dkms add "$top"/does dkms add "$here"/' \
	"scripts/test-dkms.sh has not"
defect nothing_to_cover Documentation/install.rst '/^  dkms remove /d' "commands.txt: no document has dkms remove"
defect figure Documentation/choosing.rst 's/0\.55 ns/0.57 ns/' "choosing.rst: 0.57 ns is not"

# As "captured.sh check" uses it.
grep -v ' is stuck: killed ' Documentation/captured.txt >"$work/captured"
says another_capture "not captured: [   15.649214] pcpuref_watch" --captured "$work/captured"
traps=Documentation/traps-captured.txt
sed 's/10s/11s/' $traps >"$work/later"
says same_forms "" --same $traps "$work/later"
sed 's/^  L6  oops: at /  L6  oops: in /' $traps >"$work/other"
says other_forms "+LN oops: in free_percpu" --same $traps "$work/other"

check="check-scripts.sh"
says scripts_as_they_are ""
defect script_without_row Documentation/testing.rst 's/``steps\.sh``, //' "does not say what steps.sh is for"
defect row_without_script Documentation/testing.rst 's/``steps\.sh``, /&``stairs.sh``, /' "there is no stairs.sh"
defect lines Documentation/testing.rst 's/[0-9]* lines in all/7000 lines in all/' "says \"7000 lines in all\""

echo "1..$number"
[ "$failures" -eq 0 ]
