#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# graft.sh [-n] TREE: take pcpuref into the source of a kernel, below
# lib/pcpuref/, so that CONFIG_PCPUREF_REPLACES_PERCPU_REF puts it in the place
# of percpu_ref. Documentation/in-a-kernel-tree.rst tells what it changes.
#
#   -n  look only: print the patch to the tree, change nothing
#
# All is looked at before anything is changed: a tree that is not as expected
# is left as it was, and the message says which file, and what was expected.
# A tree that has been grafted gets the newer files of pcpuref, and only those
# that differ. Files are replaced, not written to: in a tree of hard links the
# other names keep the old contents.
#
# Needs nothing but the usual tools: no cache, no packages, no network.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
export LC_ALL=C

say()
{
	printf '%s\n' "graft: $*" >&2
}

die()
{
	say "error: $*"
	exit 1
}

look_only=
if [ "${1:-}" = -n ]; then
	look_only=1
	shift
fi
[ $# -eq 1 ] || die "usage: $0 [-n] TREE"
[ -d "$1" ] || die "$1: no such folder"
tree=$(cd "$1" && pwd)
sub=lib/pcpuref
patch=$sub/tree.patch

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM

# --- Is it the tree that we know? ----------------------------------------------

# have FILE: it is in the tree.
have()
{
	[ -f "$tree/$1" ] || die "$1: not in $tree; is it the source of a kernel?"
}

# one FILE LINE [WHY]: the file has exactly one line that reads so.
one()
{
	_n=$(grep -cxF -e "$2" "$tree/$1" || :)
	[ "$_n" -eq 1 ] ||
		die "$1: expected one line that reads '$2', found $_n${3:+ ($3)}"
}

for f in Makefile Kconfig lib/Kconfig lib/Makefile init/main.c block/blk-mq.c \
	include/linux/percpu-refcount.h lib/percpu-refcount.c; do
	have "$f"
done

# Only the files of pcpuref are new in a tree that has been grafted before.
# It must have been by this very script, which is in the patch's first line.
mark="# of graft.sh $(cksum <"$0" | cut -d ' ' -f 1)"
again=
if [ -e "$tree/$sub" ]; then
	[ "$(head -n 1 "$tree/$patch" 2>/dev/null)" = "$mark" ] ||
		die "$sub: is there, and not by this version of graft.sh; to take it out: patch -R -p1 <$patch, rm -r $sub"
	again=1
fi

header=include/linux/percpu-refcount.h
counter=block/blk-mq.c
forced='		q->q_usage_counter.data->force_atomic = true;'

# Those that know percpu_ref from the inside; all must be known here.
looks_inside()
{
	(cd "$tree" && grep -rlE 'percpu_ref' --include='*.[ch]' --include='*.rs' \
		arch block crypto drivers fs include init io_uring ipc kernel lib \
		mm net rust security sound virt 2>/dev/null |
		grep -v -e "^$sub/" -e '^lib/percpu-refcount.c$' -e "^$header\$" |
		while read -r f; do
			grep -nE -e 'percpu_count_ptr|percpu_ref_data|__ref_is_percpu' \
				-e '(->|\.)data->(force_atomic|allow_reinit|confirm_switch|release|rcu|ref)\>' \
				"$f" | sed "s,^,$f:,"
		done)
}

check()
{
	one "$header" '#ifndef _LINUX_PERCPU_REFCOUNT_H'
	one "$header" '#define _LINUX_PERCPU_REFCOUNT_H'
	[ "$(grep -v '^[[:space:]]*$' "$tree/$header" | tail -n 1 | cut -c 1-6)" = '#endif' ] ||
		die "$header: expected '#endif' as the last line"
	one "$header" '	bool			force_atomic:1;'
	# What the tree has, pcpuref_compat.h must have. Those with two
	# underscores are percpu_ref's own.
	sed -n 's/^[a-z].*[ *]\(percpu_ref_[a-z_]*\)(.*/\1/p' "$tree/$header" |
		sort -u >"$new/functions"
	[ -s "$new/functions" ] || die "$header: expected functions percpu_ref_*()"
	while read -r f; do
		grep -q "^#define $f(" "$top/pcpuref_compat.h" ||
			die "$header: has $f(), which pcpuref_compat.h does not know"
	done <"$new/functions"
	grep -o 'PERCPU_REF_[A-Z_]*' "$tree/$header" | grep -v -e _ATOMIC_DEAD |
		sort -u >"$new/flags"
	while read -r f; do
		grep -q "\<$f\>" "$top/pcpuref_compat.h" "$new/inner" ||
			die "$header: has $f, which pcpuref_compat.h does not know"
	done <"$new/flags"

	n=$(grep -c '\<percpu-refcount\.o\>' "$tree/lib/Makefile" || :)
	[ "$n" -eq 1 ] ||
		die "lib/Makefile: expected one line with percpu-refcount.o, found $n"
	grep -qE '^[	 ]+percpu-refcount\.o .*\\$' "$tree/lib/Makefile" ||
		die "lib/Makefile: expected percpu-refcount.o first in a line of obj-y that goes on"
	grep -q 'pcpuref' "$tree/lib/Makefile" "$tree/lib/Kconfig" &&
		die "lib/Makefile, lib/Kconfig: know pcpuref, and there is no $sub"
	one init/main.c '#include <linux/percpu.h>'
	one init/main.c '	cgroup_init();' 'the first who needs percpu_ref'
	one "$counter" "$forced"

	looks_inside >"$new/inside"
	grep -vxE "$counter:[0-9]+:$forced" "$new/inside" >"$new/unknown" || :
	if [ -s "$new/unknown" ]; then
		cat "$new/unknown" >&2
		die "$(head -n 1 "$new/unknown" | cut -d : -f 1): looks into a percpu_ref; expected only $counter to"
	fi
}

# Flags that nobody but percpu_ref itself uses.
printf '%s\n' PERCPU_REF_ATOMIC PERCPU_REF_DEAD PERCPU_REF_FLAG_BITS >"$new/inner"
[ -n "$again" ] || check

# --- The patch -----------------------------------------------------------------

# change FILE FILTER...: what the file is to read, below $new.
change()
{
	_f=$1
	shift
	mkdir -p "$new/tree/${_f%/*}"
	"$@" <"$tree/$_f" >"$new/tree/$_f"
	! cmp -s "$tree/$_f" "$new/tree/$_f" || die "$_f: was not changed"
}

change_header()
{
	awk -v shim="$new/shim" '{ lines[NR] = $0 }
	/^#endif/ { last = NR }
	END {
		for (i = 1; i < last; i++) {
			print lines[i]
			if (lines[i] == "#define _LINUX_PERCPU_REFCOUNT_H")
				while ((getline line <shim) > 0)
					print line
		}
		print "/* A live one stays as it is; what is dead comes back in atomic mode. */"
		print "static inline void percpu_ref_stay_atomic(struct percpu_ref *ref)"
		print "{\n\tref->data->force_atomic = true;\n}\n"
		print "static inline void pcpuref_init_early(void)\n{\n}\n"
		print "#endif /* CONFIG_PCPUREF_REPLACES_PERCPU_REF */"
		for (i = last; i <= NR; i++)
			print lines[i]
	}'
}

cat >"$new/shim" <<'SHIM'

#ifdef CONFIG_PCPUREF_REPLACES_PERCPU_REF
/* md's count of writes and target_core's of commands may be zero while live. */
#define PCPUREF_COMPAT_ALLOW_ZERO	"writes_pending", "cmd_cnt->refcnt"
#define PCPUREF_COMPAT_WHOLE_KERNEL
#include "../../lib/pcpuref/pcpuref_compat.h"

static inline void percpu_ref_stay_atomic(struct percpu_ref *ref)
{
	percpu_ref_switch_to_atomic(ref, NULL);
}

void pcpuref_init_early(void);
#else
SHIM

change_makefile()
{
	sed 's/\([	 ]\)percpu-refcount\.o /\1/'
	cat <<-'END'

		obj-$(CONFIG_PCPUREF) += pcpuref/
		ifndef CONFIG_PCPUREF_REPLACES_PERCPU_REF
		obj-y += percpu-refcount.o
		endif
	END
}

change_kconfig()
{
	cat
	printf '\nsource "lib/pcpuref/kunit/Kconfig"\n'
}

change_main()
{
	awk '$0 == "\tcgroup_init();" { print "\tpcpuref_init_early();" }
		{ print }
		$0 == "#include <linux/percpu.h>" {
			print "#include <linux/percpu-refcount.h>"
		}'
}

change_counter()
{
	awk -v from="$forced" '
		$0 == from {
			$0 = "\t\tpercpu_ref_stay_atomic(&q->q_usage_counter);"
		}
		{ print }'
}

if [ -z "$again" ]; then
	change "$header" change_header
	change lib/Makefile change_makefile
	change lib/Kconfig change_kconfig
	change init/main.c change_main
	change "$counter" change_counter
	changed="$header lib/Makefile lib/Kconfig init/main.c $counter"
	{
		echo "$mark"
		for f in $changed; do
			diff -u --label "a/$f" --label "b/$f" "$tree/$f" "$new/tree/$f" || :
		done
	} >"$new/patch"
fi

if [ -n "$look_only" ]; then
	if [ -z "$again" ]; then
		cat "$new/patch"
	else
		cat "$tree/$patch"
	fi
	exit 0
fi

# --- From here on the tree changes ---------------------------------------------

# put SRC DST: replace a file of the tree, unless it reads so already.
put()
{
	cmp -s "$1" "$tree/$2" && return 0
	mkdir -p "$tree/${2%/*}"
	cp "$1" "$tree/$2.graft"
	mv -f "$tree/$2.graft" "$tree/$2"
	count=$((count + 1))
}

count=0
(cd "$top" && find Kbuild ./*.[ch] core kunit samples watch holders \
	\( -name '*.[ch]' -o -name 'Kbuild*' -o -name 'Kconfig' -o -name '.kunitconfig' \) \
	-type f) | sed 's,^\./,,' | sort >"$new/files"
while read -r f; do
	put "$top/$f" "$sub/$f"
done <"$new/files"
# What is gone from pcpuref goes from the tree.
(cd "$tree/$sub" && find . -type f ! -name tree.patch) | sed 's,^\./,,' | sort |
	comm -13 "$new/files" - | while read -r f; do
	case $f in
	*.[ch] | *Kbuild | *Kconfig) rm -f "$tree/$sub/$f" ;;
	esac
done

if [ -z "$again" ]; then
	# The patch first: with it a graft that was cut off can be taken out.
	put "$new/patch" "$patch"
	for f in $changed; do
		put "$new/tree/$f" "$f"
	done
	say "pcpuref is in $tree; set CONFIG_PCPUREF_REPLACES_PERCPU_REF"
else
	say "$count files of pcpuref were new"
fi
