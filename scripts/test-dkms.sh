#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-dkms.sh: pcpuref and a client of it in dkms, for Debian's 6.12 and 6.1, in a copy of
# this machine: added, built, installed, removed; the client before pcpuref and after it.
# What dkms installed for 6.12 is loaded in a virtual machine, by modprobe; and there a
# kernel that takes signed modules only refuses them. Prints KTAP; the last line counts.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

if [ "${1:-}" != in-copy ]; then
	need_build_packages
	need_packages dkms openssl busybox-static cpio qemu-system-x86
	for k in 6.12 6.1; do
		"$top/scripts/stock-kernel.sh" "$k" >/dev/null
	done
	exec "$top/scripts/in-copy.sh" scripts/test-dkms.sh in-copy
fi
# shellcheck source=scripts/lib-dkms.sh
. "$top/scripts/lib-dkms.sh"

# A client has the name that its author gives it: this one is before "pcpuref" in dkms's
# order, so that only BUILD_DEPENDS puts it behind.
client_from_docs client
sed -i 's/^PACKAGE_NAME=.*/PACKAGE_NAME="client"/' client/dkms.conf
them=client/0.1

client_is_complete()
{
	is installed "$(state "$them")"
	[ "$(modinfo -k "$RELEASE" -F depends template 2>&1)" = pcpuref ] ||
		echo "it does not depend on pcpuref;"
	_file=$(modinfo -k "$RELEASE" -F filename template 2>&1) || :
	crcs_agree "$_file" "$dev/Module.symvers"
}

# The pattern leaves out what pcpuref_kernel.h does not declare.
limit()
{
	sed -n "s/^#define $1	KERNEL_VERSION(\([0-9]*\), \([0-9]*\), 0)\$/\1 \2/p" \
		"$top/pcpuref_kernel.h" | awk '{ print $1 * 1000 + $2 }'
}
oldest=$(limit PCPUREF_OLDEST_KERNEL)
beyond=$(limit PCPUREF_BEYOND_NEWEST)
for conf in "$top/dkms.conf" client/dkms.conf; do
	pattern=$(sed -n 's/^BUILD_EXCLUSIVE_KERNEL="\(.*\)"$/\1/p' "$conf")
	for major in 3 4 5 6 7 8 15; do
		for minor in $(seq 0 30); do
			echo "$major.$minor.0-1-amd64"
		done
	done >releases
	# Where there is no pattern every kernel is taken.
	grep -E -- "$pattern" releases >taken || :
	awk -F . -v oldest="$oldest" -v beyond="$beyond" '{ n = $1 * 1000 + $2 }
		n >= oldest && n < beyond' releases >declared
	[ -s declared ] || echo "no kernel is declared" >>taken
	verdict "range_of_$(sed -n 's/^PACKAGE_NAME="\(.*\)"/\1/p' "$conf")" \
		"$(diff declared taken || :)"
done

# 6.12: pcpuref first, step by step.
kernel 6.12
_why=$(does dkms add "$top")
verdict add "$_why$(is added "$(state "$us")")"

_why=
for k in 5.9.0-1-amd64 7.4.0-1-amd64; do
	rc=0
	dkms build "$us" -k "$k" >log 2>&1 || rc=$?
	[ "$rc" -eq 77 ] && grep -q BUILD_EXCLUSIVE log ||
		_why="$_why $k: status $rc: $(cat log);"
done
verdict other_kernels_are_left_out "$_why"

_why=$(does dkms build "$us" -k "$RELEASE")
verdict build "$_why$(is built "$(state "$us")")$(as_before)"

_why=$(does dkms install "$us" -k "$RELEASE")
verdict install "$_why$(is_complete)"

_why=
for m in pcpuref pcpuref_watch pcpuref_holders; do
	[ "$(modinfo -k "$RELEASE" -F signer "$m" 2>&1)" = "DKMS module signing key" ] ||
		_why="$_why $m is not signed;"
done
verdict signed "$_why"

_why=$(does dkms add client)
_why="$_why$(does dkms install "$them" -k "$RELEASE")"
verdict client_second "$_why$(client_is_complete)"

# Loaded as a user does it: modprobe finds what the client depends on.
f=$(modinfo -k "$RELEASE" -F filename pcpuref) || f=/dev/null
case $f in
*.xz) xz -dc "$f" >signed.ko ;;
*) cp "$f" signed.ko ;;
esac
# What is behind the module proper goes.
strip -g -o unsigned.ko signed.ko || cp signed.ko unsigned.ko
cat >task <<'END'
/sbin/modprobe template || exit 1
dmesg | grep 'template:'
cut -d ' ' -f 1,4 /proc/modules
rmmod template && rmmod pcpuref || exit 1
echo 1 >/sys/module/module/parameters/sig_enforce
for m in unsigned signed; do
	insmod /$m.ko && echo "$m: is loaded"
	dmesg | tail -n 1
done
exit 0
END
set -- signed.ko:signed.ko unsigned.ko:unsigned.ko "$lib/updates:lib/modules/$RELEASE/"
for f in "$lib"/modules.*; do
	set -- "$@" "$f:lib/modules/$RELEASE/"
done
# The machine's own modprobe: busybox cannot read what is compressed.
kmod=$(command -v kmod)
for f in $(ldd "$kmod" | grep -o '/[^ ]*'); do
	set -- "$@" "$(realpath "$f"):${f#/}"
done
set -- "$@" "$(realpath "$kmod"):sbin/modprobe"
"$top/scripts/initramfs.sh" initramfs task "$@"
rc=0
SMP=2 "$top/scripts/vm.sh" "$IMAGE" initramfs log quiet >said 2>&1 || rc=$?
_why=
[ "$rc" -eq 0 ] || _why="status $rc;"
for line in 'template: value 42' '^template -' '^pcpuref template,'; do
	grep -q -- "$line" log || _why="$_why no $line;"
done
[ -z "$_why" ] || _why="$_why $(tail -n 20 said log)"
verdict modprobe_client "$_why"

_why=
! grep 'is loaded' log >said || _why=$(cat said)
for line in "unsigned module" "module with unavailable key"; do
	grep -q "Loading of $line is rejected" log || _why="$_why not said: $line;"
	grep -qF "Loading of $line is rejected" "$top/Documentation/install.rst" ||
		_why="$_why not documented: $line;"
done
[ -z "$_why" ] || _why="$_why $(tail -n 20 log)"
verdict sig_enforce "$_why"

_why=$(does dkms remove "$us" --all)
_why="$_why$(is "" "$(state "$us")")"
[ ! -e "$dev" ] || _why="$_why $dev is there;"
[ ! -e "/var/lib/dkms/pcpuref" ] || _why="$_why /var/lib/dkms/pcpuref is there;"
# The client is a package of its own, and stays until it is removed.
_why="$_why$(is installed "$(state "$them")")$(does dkms remove "$them" --all)"
verdict remove "$_why$(as_before)"

# 6.1: the client is there, pcpuref is not.
kernel 6.1
_why=$(does dkms add client)
rc=0
dkms autoinstall -k "$RELEASE" >log 2>&1 || rc=$?
[ "$rc" -ne 0 ] && grep -q 'missing dependencies: pcpuref' log ||
	_why="$_why status $rc: $(tail -n 20 log)"
verdict client_waits_for_pcpuref "$_why"

_why=$(does dkms add "$top")
_why="$_why$(does dkms autoinstall -k "$RELEASE")"
verdict client_first "$_why$(is_complete)$(client_is_complete)"

# As dkms 2 does when another version is removed than the one that is installed.
_why=
mkdir -p "/var/lib/dkms/pcpuref/0.1/source"
cp -R "/usr/src/pcpuref-$version/scripts" /var/lib/dkms/pcpuref/0.1/source
_why=$(does /var/lib/dkms/pcpuref/0.1/source/scripts/dkms.sh removed "$RELEASE" \
	"$(uname -m)" /lib/modules)
rm -r /var/lib/dkms/pcpuref/0.1
verdict another_version_is_removed "$_why$(is_complete)"

_why=$(does dkms remove "$us" --all)
_why="$_why$(does dkms remove "$them" --all)"
verdict remove_6.1 "$_why$(as_before)"

echo "1..$number"
echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
