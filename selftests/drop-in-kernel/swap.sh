# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Swap on and off, with pages in it, and with zswap before it.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

used()
{
	awk 'NR > 1 { n += $4 } END { print n + 0 }' /proc/swaps
}

on_and_off()
{
	mkswap "$disk_swap"
	for _ in $(seq 20); do
		swapon "$disk_swap"
		swapoff "$disk_swap"
	done
	[ "$(wc -l </proc/swaps)" -le 1 ]
}

swapped_out()
{
	[ "$(cat "$cg/swap/memory.swap.current")" -gt $((8 << 20)) ]
}

# A process that has more memory than its group may keep.
with_pages()
{
	mkswap "$disk_swap"
	for _ in 1 2 3; do
		swapon "$disk_swap"
		mkdir "$cg/swap"
		echo 12M >"$cg/swap/memory.high"
		# shellcheck disable=SC2016 # for the inner shell and perl
		sh -c 'echo $$ >"$0/cgroup.procs"
			exec perl -e "\$x = q(x) x 32e6; sleep 1000"' "$cg/swap" &
		pid=$!
		patiently 60 swapped_out
		echo max >"$cg/swap/memory.high"
		swapoff "$disk_swap"
		[ "$(cat "$cg/swap/memory.swap.current")" -eq 0 ]
		kill "$pid"
		wait "$pid" || :
		rmdir "$cg/swap"
	done
}

with_zswap()
{
	[ -e /sys/module/zswap/parameters/enabled ] || { echo "no zswap"; exit 77; }
	echo Y >/sys/module/zswap/parameters/enabled
	with_pages
	echo N >/sys/module/zswap/parameters/enabled
}

# The pool of a compressor is a reference that is killed.
compressors()
{
	[ -e /sys/module/zswap/parameters/compressor ] || { echo "no zswap"; exit 77; }
	was=$(cat /sys/module/zswap/parameters/compressor)
	echo Y >/sys/module/zswap/parameters/enabled
	for _ in $(seq 10); do
		echo lzo-rle >/sys/module/zswap/parameters/compressor
		echo lzo >/sys/module/zswap/parameters/compressor
	done
	echo "$was" >/sys/module/zswap/parameters/compressor
	echo N >/sys/module/zswap/parameters/enabled
}

step "on and off" on_and_off
step "off with pages in it" with_pages
step "off with pages in zswap" with_zswap
step "zswap's compressor changed" compressors
finish
