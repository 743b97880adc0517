#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# stock-kernel.sh VERSION: a distribution kernel of Debian, to build modules
# against and to boot in a virtual machine. Nothing of it gets installed.
#
#   6.12 6.1         Debian 12
#   5.10             Debian 11
#   7                the newest 7.x of Debian 13's backports
#   ...-rt -cloud    the same, PREEMPT_RT or for cloud machines
#   ...-i386 -arm64  6.1 or 5.10 for 32 bit x86; 6.12, 6.1 or 5.10 for arm64;
#                    the last of several words: 6.1-rt-i386
#
# Prints shell assignments: KDIR (headers), IMAGE (vmlinuz), MODDIR
# (lib/modules/RELEASE) and RELEASE; and, exported because build-modules.sh,
# initramfs.sh and vm.sh look at them, what is not as on amd64:
#
#   BUILD_VARS   variables for kbuild
#   BUILD_ROOT   a folder with another system's compiler, to run make in
#   VM_QEMU      the program, with the machine and the processor
#   VM_CONSOLE   the kernel's name of the serial line
#   VM_BUSYBOX   the program that the machine runs
#
# Fetched once, kept in the cache; PCPUREF_REFRESH=1 looks for a newer build.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

version=${1:-6.12}
series=${version%%-*}
arch=amd64
flavour=
for o in $(echo "${version#"$series"}" | tr - ' '); do
	case $o in
	rt | cloud) flavour=$o- ;;
	i386 | arm64) arch=$o ;;
	*) series=none ;;
	esac
done
# The one newer compiler that is fetched is that of amd64.
case $series-$arch in
7-amd64) ;;
7-*) series=none ;;
esac

# The names of the meta packages, which follow the newest build.
case $series in
6.12)
	suite=bookworm
	meta=6.12-$flavour
	;;
6.1)
	suite=bookworm
	meta=$flavour
	;;
5.10)
	suite=bullseye
	meta=$flavour
	;;
7)
	suite=trixie
	meta=$flavour
	;;
*) die "no kernel $version here: KERNEL= takes 6.12, 6.1, 5.10 or 7, with -rt or -cloud,
pcpuref: and 6.1 also with -i386, 6.12 and 6.1 with -arm64" ;;
esac

build_vars=
vm_qemu=
vm_console=
need_build_packages
case $arch in
amd64) meta=${meta}amd64 ;;
i386)
	meta=${meta}686-pae
	need_packages qemu-system-x86
	# Lockdep and others do not trust what QEMU's own processor says it is.
	vm_qemu="qemu-system-i386 -cpu max,vendor=GenuineIntel"
	;;
arm64)
	meta=${meta}arm64
	need_packages gcc-aarch64-linux-gnu qemu-system-arm
	build_vars="CROSS_COMPILE=aarch64-linux-gnu-"
	# Signed pointers with an algorithm that is cheap to emulate.
	vm_qemu="qemu-system-aarch64 -M virt,gic-version=3 -cpu max,pauth-impdef=on"
	vm_console=ttyAMA0
	;;
esac

# A system with the compiler that the kernel is of, for headers whose tools need a newer
# libc than the machine has; its folder is left in $root.
build_root()
{
	unpacked_system root-trixie-1 trixie-release \
		bash coreutils dash diffutils findutils gcc grep libelf1t64 \
		libssl3t64 make mawk pahole perl-base sed
	# As the package's own script would do.
	ln -sfn mawk "$root/usr/bin/awk"
}

root=
[ "$series" != 7 ] || build_root

# The "1" is to be raised when what is done below changes.
dir=$cache/stock-$version-1
lock "stock-$version"
if [ -e "$dir/.complete" ] && [ -z "${PCPUREF_REFRESH:-}" ]; then
	cat "$dir/.complete"
	exit 0
fi

apt_tree "$suite" "$arch"
image=$(deps "linux-image-$meta" | grep '^linux-image-[0-9]' | head -n 1)
[ -n "$image" ] || die "Debian has no kernel $version: no package linux-image-$meta"
release=${image#linux-image-}
build=$(version_of "$image")
# Headers of the very build of the image: modules must match its symbols.
headers=linux-headers-$release
[ "$(version_of "$headers")" = "$build" ] ||
	die "no $headers of the build $build (PCPUREF_REFRESH=1 reads the package lists anew)"
set -- "$image=$build" "$headers=$build"
# Since 7.x the image only asks for those that hold it.
for p in $(deps "$image" | grep '^linux-\(binary\|modules\)-') \
	$(deps "$headers" | grep '^linux-headers-.*-common'); do
	set -- "$@" "$p=$build"
done
tools=$(deps "$headers" | grep -m 1 '^linux-kbuild-')

rm -rf "$dir"
tmp=$dir.tmp.$$
mkdir -p "$tmp"
fetch "$tmp" "$@"
vm_busybox=
if [ "$arch" != amd64 ]; then
	fetch "$tmp" busybox-static
	for f in bin/busybox usr/bin/busybox; do
		[ ! -e "$tmp/$f" ] || vm_busybox=$dir/$f
	done
	[ -n "$vm_busybox" ] || die "no busybox in the package busybox-static"
fi
# What runs here while modules are built: it lies where that of $arch would.
apt_tree "$suite"
fetch "$tmp" "$tools=$(version_of "$tools" "$build")"

# The headers expect to lie in /usr/src.
kdir=usr/src/$headers
for f in "$tmp"/usr/src/linux-headers-*/Makefile \
	"$tmp"/usr/src/linux-headers-*/.kernelvariables; do
	[ -e "$f" ] || continue
	# Any gcc does for a test; that of Debian 11 is not to be had.
	sed -i -e "s,/usr/src/linux-headers-,$dir/usr/src/linux-headers-,g" \
		-e 's,gcc-[0-9][0-9]*$,gcc,' "$f"
done
# Type information would need pahole, and no test looks at it.
rm -f "$tmp/$kdir/vmlinux"

find "$tmp/usr" -type l | while read -r l; do
	t=$(readlink "$l")
	case $t in
	/usr/*) ln -sfn "$dir$t" "$l" ;;
	esac
done

moddir=lib/modules/$release
[ -d "$tmp/$moddir" ] || moddir=usr/lib/modules/$release
for l in build source; do
	rm -f "$tmp/$moddir/$l"
done
ln -s "$dir/$kdir" "$tmp/$moddir/build"

vmlinuz=boot/vmlinuz-$release
[ -e "$tmp/$vmlinuz" ] || vmlinuz=$moddir/vmlinuz
for f in "$kdir/Makefile" "$vmlinuz" "$moddir/kernel"; do
	[ -e "$tmp/$f" ] || die "the packages hold no $f"
done
{
	echo "KDIR=$(quote "$dir/$kdir")"
	echo "IMAGE=$(quote "$dir/$vmlinuz")"
	echo "MODDIR=$(quote "$dir/$moddir")"
	echo "RELEASE=$(quote "$release")"
	echo "export BUILD_VARS=$(quote "$build_vars") BUILD_ROOT=$(quote "$root")"
	echo "export VM_QEMU=$(quote "$vm_qemu") VM_CONSOLE=$(quote "$vm_console") VM_BUSYBOX=$(quote "$vm_busybox")"
} >"$tmp/.complete"
mv "$tmp" "$dir"
cat "$dir/.complete"
