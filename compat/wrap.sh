#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# wrap.sh KERNEL OUT [HEADER]...
#
# Make a folder OUT of headers to be put first on the include path of a module that
# is compiled with pcpuref_compat.h. For each header of the kernel's include/ that
# mentions a struct percpu_ref (or, with KREF=1, a struct kref) there is one of the same
# name, which includes it with the kernel's meaning of these names. A HEADER, for
# example target/target_core_base.h, is the module's own: it gets none.

set -eu

[ $# -ge 2 ] || {
	echo "usage: $0 KERNEL OUT [HEADER]..." >&2
	exit 1
}
kernel=$1
out=$2
shift 2

[ -e "$kernel/include/linux/percpu-refcount.h" ] || {
	echo "pcpuref: no include/linux/percpu-refcount.h in $kernel" >&2
	exit 1
}
if grep -q PCPUREF_COMPAT_WHOLE_KERNEL "$kernel/include/linux/percpu-refcount.h"; then
	echo "pcpuref: all of $kernel is compiled with pcpuref_compat.h already" >&2
	exit 1
fi
for header; do
	[ -e "$kernel/include/$header" ] || {
		echo "pcpuref: PCPUREF_COMPAT_OWN: no include/$header in $kernel" >&2
		exit 1
	}
done

names='percpu_ref\|percpu_ref_func_t'
[ -z "${KREF:-}" ] || names="$names\\|kref"

# Its name is for a reader; only what is included counts.
wrapper()
{
	cat <<EOF
/* Made by compat/wrap.sh: references that <$1> declares are the kernel's. */
#ifdef PCPUREF_COMPAT_CORE
#include_next <$1>
#else
#define PCPUREF_COMPAT_CORE
#undef percpu_ref
#undef percpu_ref_func_t
#undef kref
#include_next <$1>
#undef PCPUREF_COMPAT_CORE
#include "pcpuref_compat.h"
#endif
EOF
}

# A file that stays the same keeps its time: what includes it is not compiled again.
tmp=$out.$$
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"
(cd "$kernel/include" && grep -rlw --include='*.h' "$names" .) | while read -r path; do
	path=${path#./}
	own=
	for header; do
		[ "$header" != "$path" ] || own=1
	done
	[ -z "$own" ] || continue
	mkdir -p "$tmp/${path%/*}"
	wrapper "$path" >"$tmp/$path"
	if cmp -s "$tmp/$path" "$out/$path"; then
		mv "$out/$path" "$tmp/$path"
	fi
done
rm -rf "$out"
mv "$tmp" "$out"
