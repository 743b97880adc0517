#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-deb.sh: "make deb"; the packages installed and removed in a copy of this machine
# that has the headers of Debian's 6.12; a client that is built against them. Prints KTAP;
# the last line counts.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

if [ "${1:-}" != in-copy ]; then
	need_build_packages
	need_packages dkms build-essential dpkg-dev debhelper dh-dkms lintian
	"$top/scripts/stock-kernel.sh" 6.12 >/dev/null
	exec "$top/scripts/in-copy.sh" scripts/test-deb.sh in-copy
fi
# shellcheck source=scripts/lib-dkms.sh
. "$top/scripts/lib-dkms.sh"

# lintian is part of it.
_why=$(does make -C "$top" OUT="$work/out" deb)
for p in pcpuref-dkms pcpuref-dev; do
	set -- "out/$p"_*_all.deb
	[ -s "$1" ] || _why="$_why no package $p;"
done
verdict build_and_lintian "$_why"

# The package has the source files of the tree, and those only that a build uses.
kernel 6.12
dpkg-query -l | sort >packages
_why=$(does dpkg -i "out/pcpuref-dkms"_*_all.deb)
verdict install_dkms "$_why$(is_complete)"

_why=
for d in core holders watch compat; do
	_why="$_why$(diff -rq -x '*.o' -x '*.ko' -x '*.mod' -x '*.mod.c' -x '.*' \
		"$top/$d" "/usr/src/pcpuref-$version/$d" || :)"
done
_why="$_why$(find "/usr/src/pcpuref-$version" -path '*/selftests*' -o -path '*/kunit*')"
verdict source "$_why"

_why=$(does dpkg -i "out/pcpuref-dev"_*_all.deb)
for h in "$top"/pcpuref*.h; do
	cmp -s "$h" "/usr/include/pcpuref/$(basename "$h")" || _why="$_why no $h;"
done
doc=/usr/share/doc/pcpuref-dev
for f in README.md install.rst; do
	[ -e "$doc/$f" ] || [ -e "$doc/$f.gz" ] || _why="$_why no $doc/$f;"
done
verdict install_dev "$_why"

# The sample that the package has, with the two lines of the documentation.
client_from_docs client
_why=$(diff -r "$top/samples/template" $doc/examples/template || :)
_why="$_why$(does make -C client KDIR="$lib/build" modules)"
verdict client "$_why$(crcs_agree client/template.ko "$dev/Module.symvers")"

_why=$(does dpkg -P pcpuref-dev pcpuref-dkms)
_why="$_why$(as_before)$(dpkg-query -l | sort | diff packages - || :)"
_why="$_why$(find /usr/src /usr/include /usr/share /var/lib/dkms -path "$top" -prune -o \
	-name '*pcpuref*' -print)"
verdict remove "$_why"

echo "1..$number"
echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
