# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that measures (bench.sh): parameters of the bench
# module come as bench_arg=NAME=VALUE on the kernel's command line.

args=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^bench_arg=//p')
rc=0
# Tells an emulator from a processor.
sed -n 's/^model name[^:]*: */bench: processor: /p' /proc/cpuinfo | head -n 1
insmod /modules/pcpuref.ko || rc=1
# shellcheck disable=SC2086 # a list of words
insmod /modules/pcpuref_bench.ko $args || rc=1
rmmod pcpuref_bench || rc=1
rmmod pcpuref || rc=1
dmesg | sed -n 's/^.*pcpuref_bench: /bench: /p'
exit $rc
