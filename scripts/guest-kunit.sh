# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that runs KUnit (kunit.sh): each module of /kunit
# is loaded, which runs its suites, and unloaded. The brackets go through
# the kernel's log, to keep their place between the results.

failed=0

note()
{
	echo "$1" >/dev/kmsg
}

fail()
{
	note "pcpuref-fault: $1"
	failed=1
}

# load FILE: and first what it depends on.
load()
{
	for d in $(tr '\0' '\n' <"$1" | sed -n 's/^depends=//p' | tr , ' '); do
		[ -d "/sys/module/$d" ] || load "/modules/$d.ko" || return 1
	done
	insmod "$1" || return 1
	loaded="$(basename "$1" .ko) $loaded"
}

# A console that is slower than the kernel must not cost lines.
echo on >/proc/sys/kernel/printk_devkmsg

for m in /kunit/*.ko; do
	name=$(basename "$m" .ko)
	loaded=
	note "pcpuref-load: $name"
	load "$m"
	note "pcpuref-loaded: $name $?"
	for l in $loaded; do
		rmmod "$l" || fail "$l does not unload after $name"
	done
done
exit $failed
