#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-install.sh [KERNEL]: "make install" into a folder, for a stock kernel; clients
# that are copied out of the sources and of README are built against what is there; "make
# uninstall"; "make clean". Nothing else may be touched. Prints KTAP; the last line counts.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

assignments=$("$top/scripts/stock-kernel.sh" "${1:-6.12}")
eval "$assignments"
need_packages openssl
work_dir "install-${1:-6.12}"
# shellcheck disable=SC2154 # by work_dir
cd "$work"
# The sources of an earlier run stay: only what changed is compiled.
rm -rf root client client-docs client-readme built
mkdir -p root sources
PATH=$PATH:/usr/sbin:/sbin

# A copy, as git has it, since the checkout stays clean. Times are kept for make.
(cd "$top" && find . -name '.?*' -prune -o -type f \( -name '*.[chS]' ! -name '*.mod.c' \
	-o -name Kbuild -o -name Makefile -o -path './compat/*' \) -print) | sort >copied
tar -C "$top" -cf - -T copied | tar -C sources -xf -

in_sources()
{
	make -C sources KDIR="$KDIR" "$@" >log 2>&1
}

uninstall()
{
	in_sources DESTDIR=.. INSTALL_MOD_PATH=/root uninstall || tail -n 20 log
}

# What a wrong install would write to: this machine's modules, the kernel's own folders.
# Other programs may write to the rest of the machine meanwhile.
touched()
{
	find /lib/modules /usr/src "$KDIR" "$MODDIR" -newer before ! -type d -print \
		2>/dev/null || :
	find /etc /usr/include /usr/lib -xdev -newer before -name '*pcpuref*' -print \
		2>/dev/null || :
}
: >before
sleep 1

lib=root/lib/modules/$RELEASE
dev=$lib/pcpuref
mods=$lib/updates/pcpuref

_why=
in_sources -j"$(nproc)" DESTDIR="$work" INSTALL_MOD_PATH=/root install || _why=$(tail -n 20 log)
! grep -q 'jobserver unavailable' log || _why="$_why make does not share its jobs"
verdict install "$_why"

_why=
for m in pcpuref watch/pcpuref_watch holders/pcpuref_holders; do
	set -- "$mods/$m".ko*
	[ -s "$1" ] || _why="$_why no $m;"
	case $(modinfo -F vermagic "$1" 2>&1) in
	"$RELEASE "*) ;;
	*) _why="$_why $m is of another kernel;" ;;
	esac
	[ -n "$(modinfo -F version "$1" 2>&1)" ] || _why="$_why $m has no version;"
done
verdict modules "$_why"

# Of the kernel that KDIR is of, below DESTDIR.
_why=
modprobe -d "$work/root" -S "$RELEASE" --show-depends pcpuref_watch >shown 2>&1 ||
	_why=$(cat shown)
for m in pcpuref pcpuref_watch; do
	grep -q "^insmod $work/$mods/.*$m\.ko" shown || _why="$_why $m is not found;"
done
verdict depmod "$_why"

_why=
for h in "$top"/pcpuref*.h "$top"/compat/*; do
	h=${h#"$top"/}
	cmp -s "$top/$h" "$dev/$h" || _why="$_why no $h, or another;"
done
grep -q '	__pcpuref_init	pcpuref	' "$dev/Module.symvers" ||
	grep -q '	__pcpuref_init	.*/pcpuref	' "$dev/Module.symvers" ||
	_why="$_why no symbol in Module.symvers;"
cmp -s sources/Module.symvers "$dev/Module.symvers" || _why="$_why another Module.symvers"
verdict headers "$_why"

# The client, with its own Makefile, elsewhere; only the path of what is installed is
# another than on a real machine.
cp -r "$top/samples/template" client
build_client()
{
	make -C client KDIR="$KDIR" PCPUREF="$work/$dev" modules >log 2>&1
}
_why=
build_client || _why=$(tail -n 20 log)
! grep -iE 'warning|undefined' log | grep -v 'compiler differs' >said ||
	_why="$_why $(cat said)"
[ "$(modinfo -F depends client/template.ko 2>&1)" = pcpuref ] ||
	_why="$_why it does not depend on pcpuref"
verdict client "$_why"

# Each symbol that it takes from pcpuref, with the number that pcpuref exports it by.
_why=$(crcs_agree client/template.ko "$dev/Module.symvers")
verdict client_crcs "$_why"

# By the two lines of the documentation; again only the path is another.
client_from_docs client-docs
sed -i "s,/lib/modules/,$work/root&," client-docs/Kbuild
_why=
make -C client-docs KDIR="$KDIR" modules >log 2>&1 || _why=$(tail -n 20 log)
verdict client_of_two_lines "$_why$(crcs_agree client-docs/template.ko "$dev/Module.symvers")"

# README's client and its Kbuild, as they stand there.
block()
{
	awk -v kind="$1" '$0 == "```" kind { n++ }
		/^```$/ { inside = 0 }
		inside
		$0 == "```" kind && n == 1 { inside = 1 }' "$top/README.md"
}
mkdir client-readme
block c >client-readme/pcpuref_hello.c
block make | sed "s,/lib/modules/,$work/root&," >client-readme/Kbuild
_why=
make -C "$KDIR" M="$work/client-readme" modules >log 2>&1 || _why=$(tail -n 20 log)
verdict client_of_readme "$_why$(crcs_agree client-readme/pcpuref_hello.ko "$dev/Module.symvers")"

# Without the symbols there are none: the check before is one that can fail.
mv "$dev/Module.symvers" kept
rm -f client/template.ko client/Module.symvers
_why=
! build_client || _why="it builds"
grep -q '__pcpuref_init.*undefined\|Module\.symvers' log ||
	_why="$_why not for the lack of symbols: $(tail -n 20 log)"
mv kept "$dev/Module.symvers"
verdict client_without_symbols "$_why"

# Every header compiles alone; that of the tracepoints is for who defines them.
mkdir client/headers
sed '/^obj-m/d' client/Kbuild >client/headers/Kbuild
echo "obj-m := headers.o" >>client/headers/Kbuild
for h in "$dev"/pcpuref*.h; do
	n=$(basename "$h" .h)
	[ "$n" != pcpuref_trace ] || continue
	printf '#include "%s.h"\n' "$n" >"client/headers/only_$n.c"
	echo "headers-y += only_$n.o" >>client/headers/Kbuild
done
printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("headers");\n' \
	>>client/headers/only_pcpuref.c
_why=
make -C "$KDIR" M="$work/client/headers" PCPUREF="$work/$dev" modules >log 2>&1 ||
	_why=$(grep -i error log || tail -n 20 log)
verdict client_headers "$_why"

mkdir client/shim
cat >client/shim/shim.c <<'END'
#include <linux/module.h>
#include <linux/percpu-refcount.h>
struct percpu_ref ref;
void shim_get(void);
void shim_get(void) { percpu_ref_get(&ref); percpu_ref_exit(&ref); }
MODULE_LICENSE("GPL");
END
# As README says: two lines of a client, and the one for drivers.
{
	grep '^PCPUREF\|^KBUILD_EXTRA_SYMBOLS' client/Kbuild
	# shellcheck disable=SC2016 # make's
	echo 'include $(PCPUREF)/compat/Kbuild.include'
	echo 'obj-m := shim.o'
} >client/shim/Kbuild
_why=
make -C "$KDIR" M="$work/client/shim" PCPUREF="$work/$dev" modules >log 2>&1 ||
	_why=$(grep -i error log || tail -n 20 log)
nm -u client/shim/shim.ko 2>&1 | grep -q '__pcpuref_exit' || _why="$_why no call of pcpuref"
verdict client_shim "$_why"

# With a key, which no kernel knows.
openssl req -new -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=throwaway/" \
	-keyout key -outform DER -out cert >log 2>&1
_why=
in_sources DESTDIR=../root SIGN_KEY=../key SIGN_CERT=../cert modules_install ||
	_why=$(tail -n 20 log)
for m in pcpuref watch/pcpuref_watch holders/pcpuref_holders; do
	# Not beside one that has no signature.
	set -- "$mods/$m".ko*
	[ $# -eq 1 ] || _why="$_why there are $*;"
	[ "$(modinfo -F signer "$1" 2>&1)" = throwaway ] || _why="$_why $m is not signed;"
	[ "$(modinfo -F sig_hashalgo "$1" 2>&1)" = sha256 ] || _why="$_why $m: another hash;"
done
verdict sign "$_why"

# In another folder, and from there away; what is in the first one is said to be another.
_why=
other=$lib/extra/ours
in_sources DESTDIR=../root INSTALL_MOD_DIR=extra/ours install || _why=$(tail -n 20 log)
grep -q "NOTE: .*/$mods/pcpuref.ko.* is another one" log || _why="$_why nothing said of two;"
for m in pcpuref watch/pcpuref_watch holders/pcpuref_holders; do
	set -- "$other/$m".ko*
	[ -s "$1" ] || _why="$_why no $m;"
done
in_sources DESTDIR=../root INSTALL_MOD_DIR=extra/ours uninstall || _why="$_why $(tail -n 20 log)"
[ ! -e "$lib/extra" ] || _why="$_why left: $(find "$lib/extra")"
set -- "$mods"/pcpuref.ko*
[ -s "$1" ] || _why="$_why that in the first folder is gone"
verdict install_mod_dir "$_why"

# Where there is a kernel, its files stay, and modules.dep is made anew.
mkdir "$lib/kernel"
echo kernel/other.ko >"$lib/modules.order"
_why=$(uninstall)
[ -s "$lib/modules.order" ] || _why="$_why the kernel's modules.order is gone;"
[ -e "$lib/modules.dep" ] || _why="$_why modules.dep is gone;"
_left=$(grep -rl pcpuref root || find root -name '*pcpuref*')
[ -z "$_left" ] || _why="$_why left: $_left"
verdict uninstall_beside_a_kernel "$_why"

# Where there is none nothing stays, and to do it twice is no error.
rm -r "$lib/kernel" "$lib/modules.order"
_why=$(uninstall)
_left=$(find root -mindepth 1)
[ -z "$_left" ] || _why="$_why left: $_left"
verdict uninstall "$_why"

# By name alone, in the /lib/modules of a copy of this machine that has no other kernel.
_why=
cat >by-name <<'END'
lib=/lib/modules/$1
mkdir -p "$lib"
ln -s "$2" "$lib/build"
: >"$lib/modules.order"
make -C "$3" KERNELRELEASE="$1" install
modprobe -S "$1" --show-depends pcpuref_watch | grep "^insmod $lib/updates/pcpuref/pcpuref\.ko"
cmp "$3/Module.symvers" "$lib/pcpuref/Module.symvers"
make -C "$3" KERNELRELEASE="$1" uninstall
find "$lib" -name '*pcpuref*' | sed 's/^/left: /'
END
"$top/scripts/in-copy.sh" sh -eu "$work/by-name" "$RELEASE" "$KDIR" "$work/sources" >log 2>&1 ||
	_why=$(tail -n 20 log)
_why="$_why$(grep '^left: ' log || :)"
verdict by_name "$_why"

# In a copy, so that the next run compiles only what changed.
_why=
cp -a sources built
make -C built KDIR="$KDIR" clean >log 2>&1 || _why=$(tail -n 20 log)
(cd built && find . -type f -print) | sort >left
_why="$_why$(comm -13 copied left | sed 's/^/is left: /')"
_why="$_why$(comm -23 copied left | sed 's/^/is gone: /')"
[ -n "$(find sources -name 'pcpuref.ko')" ] || _why="$_why nothing was built;"
verdict clean "$_why"
rm -rf built

_why=
[ -z "$(touched)" ] || _why="outside of DESTDIR: $(touched)"
verdict nothing_else_touched "$_why"

echo "1..$number"
echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
