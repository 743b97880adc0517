# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# What the tests of dkms and of the Debian packages share. To be sourced after lib.sh, in
# a copy of this machine (in-copy.sh).

PATH=$PATH:/usr/sbin:/sbin
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$top/dkms.conf")
us=pcpuref/$version
work=$(mktemp -d)
cd "$work" || exit 1

# kernel VERSION: its headers, where an installation has them; and one of its modules, by
# which dkms sees whether they are compressed
kernel()
{
	assignments=$("$top/scripts/stock-kernel.sh" "$1")
	eval "$assignments"
	lib=/lib/modules/$RELEASE
	dev=$lib/pcpuref
	mkdir -p "$lib/kernel"
	ln -s "$KDIR" "$lib/build"
	cp "$MODDIR"/modules.builtin* "$lib"
	find "$MODDIR/kernel/" -name 'crc-itu-t.ko*' -exec cp {} "$lib/kernel" \;
	: >"$lib/modules.order"
	depmod "$RELEASE"
	files >"before-$RELEASE"
}

# What there is of a kernel, without what depmod writes.
files()
{
	(cd "$lib" && find . ! -name 'modules.*' | sort)
}

# Is there of the kernel what there was? Tells what is not so.
as_before()
{
	files | diff "before-$RELEASE" - || :
}

# state MODULE/VERSION: what dkms says of it for the kernel: added, built, installed
state()
{
	dkms status "$1" -k "$RELEASE" | sed 's/.*: //'
}

# is WANTED STATE: tells what is not so
is()
{
	[ "$1" = "$2" ] || echo "it is $2, not $1;"
}

# does COMMAND...: tells why it fails
does()
{
	"$@" >log 2>&1 || {
		echo "$*:"
		tail -n 20 log
		find /var/lib/dkms -name make.log -exec tail -n 20 {} +
	}
}

# Is all there that a dependent module, and its user, look for? Tells what is not.
is_complete()
{
	is installed "$(state "$us")"
	for _m in pcpuref pcpuref_watch pcpuref_holders; do
		[ "$(modinfo -k "$RELEASE" -F version "$_m" 2>&1)" = "$version" ] ||
			echo "no $_m $version;"
	done
	for _h in "$top"/pcpuref*.h "$top"/compat/*; do
		cmp -s "$_h" "$dev/${_h#"$top"/}" || echo "no ${_h#"$top"/}, or another;"
	done
	grep -q '	__pcpuref_init	' "$dev/Module.symvers" || echo "no Module.symvers"
}
