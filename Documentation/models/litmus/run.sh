#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [MODEL]: run the litmus tests beside it with the kernel's memory model
# (MODEL, the tools/memory-model of a kernel's source; without it Debian's 6.12),
# and check the verdict that each has as "Result:" in its first comment.
#
# Needs herd7: HERD, or the one in PATH, or Debian's, of which only sid has a
# package: it is unpacked into the cache with its own libraries, not installed.
# Without it all tests are skipped, and the exit status is 4.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

tests=$(cd "$here" && ls ./*.litmus)

# skip REASON
skip()
{
	echo "SKIP: $1"
	# shellcheck disable=SC2086 # a list of words
	set -- $tests
	echo "0 passed, 0 failed, $# skipped"
	exit 4
}

# Unpack herd7 below $cache/herd. In a subshell: it may end in die.
unpack_herd()
{
	command -v apt-get >/dev/null 2>&1 || die "no apt-get here"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keys" ] || need_packages debian-archive-keyring
	from=$(mirror)
	[ -n "$from" ] || die "no Debian mirror in the machine's package sources"
	# For in_tree: a tree of sid's packages, as apt_tree makes them.
	tree=$cache/apt/sid
	mkdir -p "$tree/lists/partial" "$tree/debs"
	echo "deb [arch=amd64 signed-by=$keys] $from sid main" >"$tree/sources.list"
	say "reading the package lists of sid"
	in_tree apt-get -q update >"$tree/log" 2>&1 ||
		die "cannot read the package lists of sid, see $tree/log"
	rm -rf "$cache/herd" "$cache/herd.tmp"
	mkdir -p "$cache/herd.tmp"
	# shellcheck disable=SC2046 # a list of words
	fetch "$cache/herd.tmp" herdtools7 $(deps herdtools7)
	mv "$cache/herd.tmp" "$cache/herd"
}

# herd ARGUMENT...: run herd7.
herd()
{
	if [ -n "$herd" ]; then
		$herd "$@"
	else
		"$loader" --library-path "$libraries" "$cache/herd/usr/bin/herd7" \
			-set-libdir "$libdir" "$@"
	fi
}

herd=${HERD:-$(command -v herd7 || :)}
if [ -z "$herd" ]; then
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
		skip "no herd7, and Debian's is unpacked on amd64 only"
	lock herd
	if [ ! -d "$cache/herd" ]; then
		(unpack_herd) || skip "no herd7, and none could be unpacked"
	fi
	unlock
	loader=$(find "$cache/herd" -name 'ld-linux-x86-64.so.2' | head -n 1)
	libraries=$(find "$cache/herd" -name 'libc.so.6' -o -name 'libgmp.so.*' |
		sed 's,/[^/]*$,,' | sort -u | paste -s -d :)
	libdir=$(find "$cache/herd" -name stdlib.cat | head -n 1)
	libdir=${libdir%/*}
	herd -version >/dev/null 2>&1 || skip "the herd7 in $cache/herd does not run"
fi

model=${1:-}
if [ -z "$model" ]; then
	(kernel_source 6.12) || skip "no kernel source to take the memory model from"
	model=$cache/source-6.12/tools/memory-model
fi
[ -e "$model/linux-kernel.cfg" ] || die "no memory model in $model"

# herd7 looks for the parts of the model in the folder that it runs in.
cd "$model"
passed=0
failed=0
for name in $tests; do
	name=${name#./}
	want=$(sed -n 's/^ \* Result: //p' "$here/$name")
	out=$(herd -conf linux-kernel.cfg "$here/$name" 2>&1) || :
	got=$(printf '%s\n' "$out" | sed -n 's/^Observation [^ ]* \([^ ]*\).*/\1/p')
	# A data race would make the verdict meaningless.
	if [ -n "$want" ] && [ "$got" = "$want" ] &&
	   ! printf '%s\n' "$out" | grep -q '^\(Flag\|Warning\)'; then
		passed=$((passed + 1))
		echo "ok $name: $got"
	else
		failed=$((failed + 1))
		echo "not ok $name: want ${want:-a Result: line}, got ${got:-nothing}"
		printf '%s\n' "$out" | sed 's/^/# /'
	fi
done

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
