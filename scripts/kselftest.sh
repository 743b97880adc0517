#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kselftest.sh [KERNEL]: selftests/ the way that the kernel's own selftests are used. In a
# copy of this project "make -C selftests", and in a tree with the kernel's lib.mk
# what "make install" does there; both are booted in a virtual machine, the former with
# run.sh, the latter with the kernel's run_kselftest.sh.
#
# Few programs are run, since "make selftest" runs all:
# PROGRAMS="a.sh b.sh" chooses others. Ends with "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
programs=${PROGRAMS:-load.sh api.sh watch.sh}
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
need_build_packages
need_packages rsync
work_dir "kselftest-$kernel"

# --- The kernel's part: its lib.mk and what runs the tests ------------------------

parts=$cache/kselftest-6.12-1
lock kselftest
if [ ! -e "$parts/.complete" ]; then
	apt_tree bookworm
	rm -rf "$parts"
	tmp=$parts.tmp.$$
	mkdir -p "$tmp"
	fetch "$tmp" linux-source-6.12
	tar -xJf "$tmp/usr/src/linux-source-6.12.tar.xz" -C "$tmp" \
		--strip-components=1 --wildcards \
		'*/tools/testing/selftests/lib.mk' \
		'*/tools/testing/selftests/run_kselftest.sh' \
		'*/tools/testing/selftests/kselftest' \
		'*/scripts/Makefile.compiler' '*/scripts/Kbuild.include'
	rm -rf "${tmp:?}/usr"
	: >"$tmp/.complete"
	mv "$tmp" "$parts"
fi
unlock

# --- A copy of this project, built by its own Makefile ----------------------------

rm -rf "$work/own" "$work/tree" "$work/installed"
mkdir "$work/own"
tree_files | tar -C "$top" -cf - -T - | tar -C "$work/own" -xf -

say "building: make -C selftests"
make -C "$work/own/selftests" KDIR="$KDIR" -j"$(nproc)" >"$work/own.log" 2>&1 6>&- || {
	tail -n 20 "$work/own.log" >&2
	die "make -C selftests failed, see $work/own.log"
}

# There is no make in the machine, where "make run_tests" would run them. All is built.
make -s -n -o all -C "$work/own/selftests" run_tests | grep -qx '\./run\.sh' ||
	die "make run_tests does not run run.sh"
# shellcheck disable=SC2016 # for sed
sed -n 's/^programs=${SELFTESTS:-\(.*\)}$/\1/p' "$top/selftests/run.sh" | tr ' ' '\n' >"$work/by-us"

# --- The same in a kernel's tools/testing/selftests ---------------------------------

say "building and installing with the kernel's lib.mk"
cp -R "$parts" "$work/tree"
there=$work/tree/tools/testing/selftests
cp -R "$top/selftests" "$there/pcpuref"
cp "$top/scripts/warnings.awk" "$there/pcpuref/"
# What the kernel's Makefile above does for one folder of tests.
{
	make -C "$there/pcpuref" KDIR="$KDIR" PCPUREF_DIR="$work/own" \
		OUTPUT="$there/pcpuref" INSTALL_PATH="$work/installed/pcpuref" install &&
		mkdir "$work/installed/kselftest" &&
		cp "$there/kselftest/"* "$work/installed/kselftest/" &&
		cp "$there/run_kselftest.sh" "$work/installed/" &&
		make -s -C "$there/pcpuref" OUTPUT="$there/pcpuref" COLLECTION=pcpuref \
			emit_tests >"$work/installed/kselftest-list.txt"
} >"$work/tree.log" 2>&1 6>&- || {
	tail -n 20 "$work/tree.log" >&2
	die "lib.mk's install failed, see $work/tree.log"
}

sed 's/^pcpuref://' "$work/installed/kselftest-list.txt" >"$work/by-them"
diff "$work/by-us" "$work/by-them" >&2 ||
	die "run.sh and TEST_PROGS of selftests/Makefile have different programs"

# --- Both in a virtual machine ---------------------------------------------------

# Neither may know of a folder with all modules: no MODDIR.
cat >"$work/task" <<END
cd /own/selftests && SELFTESTS="$programs" sh ./run.sh || exit 1
echo "pcpuref-kselftest: begin"
sh /installed/run_kselftest.sh $(for p in $programs; do printf ' -t pcpuref:%s' "$p"; done)
echo "pcpuref-kselftest: end"
END
"$top/scripts/initramfs.sh" "$work/initramfs" "$work/task" \
	"$work/own/selftests:own/selftests" "$work/own/scripts/warnings.awk:own/scripts/" \
	"$work/installed:installed"
status=0
"$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$work/console.log" quiet loglevel=2 ||
	status=$?

# The kernel's runner puts "# " before what a program prints: only its verdicts count.
sed -n '/^pcpuref-kselftest: begin/,/^pcpuref-kselftest: end/p' "$work/console.log" |
	sed '/^pcpuref-/d' >"$work/theirs"
sed -i '/^pcpuref-kselftest: begin/,/^pcpuref-kselftest: end/d' "$work/console.log"
rc=0
judge_selftests "$kernel" "$status" "$work/console.log" "$work/ktap" "$work/own.report" || rc=1
echo "== make -C selftests, run.sh"
cat "$work/own.report"
echo "== lib.mk, run_kselftest.sh"
awk -v may_skip="$(may_skip "$kernel")" -f "$top/scripts/ktap.awk" "$work/theirs" >"$work/their.report" || {
	rc=1
	cat "$work/theirs"
}
cat "$work/their.report"
add_up "$work/own.report" "$work/their.report" || rc=1
exit "$rc"
