#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# captured.sh [check]: capture anew the output that README.md and Documentation/ show, on a
# stock 6.12. Runs the demo, the demo of a stuck reference, the traps, a machine in which the
# commands of the documents are run (guest-captured.sh), and one for trace-cmd, bpftrace,
# drgn and crash (captured-tools.sh). Writes traps-captured.txt and lives.svg, which
# documents include, and captured.txt: one line of each form that was printed.
# check-blocks.py, a part of "make lint", compares the documents with it.
#
# With "check" the sources stay as they are. Fails if something that a document shows is
# not printed any more.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

case $#,${1:-} in
0,) check= ;;
1,check) check=1 ;;
*) die "usage: $0 [check]" ;;
esac
need_packages python3
assignments=$("$top/scripts/stock-kernel.sh" 6.12)
eval "$assignments"
work_dir captured
docs=$top/Documentation
to=$docs
if [ -n "$check" ]; then
	to=$work/docs
	mkdir -p "$to"
fi

# The machine of the documents.
"$top/scripts/build-modules.sh" "$KDIR" "$work/build" samples samples/porting \
	samples/porting/shim samples/porting/shim-kref holders watch selftests/test_modules
rm -rf "$work/modules" "$work/selftests" "$work/template"
mkdir "$work/modules"
find "$work/build" -name '*.ko' -exec cp {} "$work/modules/" \;
cp -R "$top/selftests" "$work/selftests"
cp "$top/scripts/warnings.awk" "$work/selftests/"
# The client of introduction.rst, with its own Makefile.
cp -R "$top/samples/template" "$work/template"
make -C "$work/template" KDIR="$KDIR" PCPUREF="$work/build" modules >"$work/template.log" 2>&1 ||
	die "the template client does not build, see $work/template.log"
cp "$work/template/template.ko" "$work/modules/"
# The same, with its put removed.
mkdir "$work/modules/leaky"
sed -i '/^\t\tthing_put(thing);$/d' "$work/template/template.c"
make -C "$work/template" KDIR="$KDIR" PCPUREF="$work/build" modules >"$work/template.log" 2>&1 ||
	die "the template client does not build, see $work/template.log"
cp "$work/template/template.ko" "$work/modules/leaky/"
"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-captured.sh" \
	"$work/modules:modules" "$work/selftests:selftests"

# CPUs that are emulated in parallel trip over code that is patched while they run it, as
# enabling a tracepoint does: see vm.sh.
say "booting: the commands of the documents"
THREAD=single TIMEOUT=1800 "$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$work/machine" \
	quiet loglevel=1 log_buf_len=8M || die "the machine failed, see $work/machine"
grep -qx 'pcpuref-captured: end' "$work/machine" ||
	die "not all commands were run, see $work/machine"

"$top/scripts/captured-tools.sh" "$work/modules" "$work/tools" "$work/dump"

for what in demo demo-stuck traps; do
	say "running: $what"
	"$top/scripts/$what.sh" >"$work/$what" 2>"$work/$what.err" ||
		die "$what failed, see $work/$what and $work/$what.err"
done
# The machines of the traps, and of the demo of a stuck reference.
works=${work%/*}
for m in porting_shim porting_shim_kref; do
	echo "\$ nm -u $m.ko | grep ref"
	nm -u "$work/modules/$m.ko" | grep ref
done >"$work/nm"

{
	echo "# SPDX-License-Identifier: GPL-2.0-only"
	sed '1{/^$/d}' "$work/traps"
} >"$work/traps-captured.txt"
LIVES_OPTIONS="--limit 14" "$top/scripts/lives.sh" "$works/demo-stuck-6.12/console.log" \
	"make demo-stuck"
"$docs/check-blocks.py" --write "$to/captured.txt" "$work/machine" "$work/demo" \
	"$work/demo-stuck" "$works/traps-6.12/logs/pcpuref" "$work/nm" "$work/tools" "$work/dump"
if [ -n "$check" ]; then
	"$docs/check-blocks.py" --same "$docs/traps-captured.txt" "$work/traps-captured.txt"
	"$docs/check-blocks.py" --captured "$to/captured.txt"
	say "all that the documents show is printed still"
else
	cp "$work/traps-captured.txt" "$docs/traps-captured.txt"
	cp "$works/demo-stuck-6.12/lives.svg" "$docs/lives.svg"
	"$docs/check-blocks.py"
fi
