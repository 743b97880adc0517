#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# static.sh [clang|sparse|clang-tidy|analyzer|coccicheck]...: checkers of the sources that take
# too long for lint.sh; without arguments all of them.
#
#   clang       compiles all modules, samples and tests, by Debian 12's clang, for x86-64
#   sparse      all of that, for kinds of pointers and for locks
#   clang-tidy  the checks clang-analyzer-* and bugprone-*
#   analyzer    gcc -fanalyzer
#   coccicheck  the semantic patches of the kernel's scripts/coccinelle
#
# The last three look at what users build: the core, watch/, holders/ and samples/. In the
# tests they find assertions that do not return, which they do not know, and nothing else.
#
# Prints what they complain about; the last line counts the checks. Each is also given
# defect.c, which has one defect for each, and fails if it does not find that.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -gt 0 ] || set -- clang sparse clang-tidy analyzer coccicheck
for check; do
	case $check in
	clang | sparse | clang-tidy | analyzer | coccicheck) ;;
	*) die "no such check: $check" ;;
	esac
done
need_build_packages
need_packages clang sparse clang-tidy coccinelle python3
kernel_source 6.12
work_dir static
cd "$top"
users="holders watch $(find samples -name Kbuild | sed 's,/Kbuild$,,')"
# selftests/kunit compiles kunit/ once more.
all=$(find . -name '.?*' -prune -o -name Kbuild -print |
	sed -n 's,^\./\(.*\)/Kbuild$,\1,p' | grep -vx selftests/kunit)

rm -rf "$work/defect"
mkdir "$work/defect"
echo "obj-m := defect.o" >"$work/defect/Kbuild"
cat >"$work/defect/defect.c" <<'END'
#include <linux/module.h>
#include <linux/slab.h>

int set_and_unused(int n);
int set_and_unused(int n)
{
	int set;

	set = n;
	return n;
}

int of_user(int __user *p);
int of_user(int __user *p)
{
	return *p;
}

int no_object(int *p);
int no_object(int *p)
{
	if (!p)
		return *p;
	return 0;
}

void needless_check(void *p);
void needless_check(void *p)
{
	if (p)
		kfree(p);
}

MODULE_DESCRIPTION("defects for static.sh");
MODULE_LICENSE("GPL");
END

# expect PATTERN: what the checker says about defect.c, on stdin, must have it
expect()
{
	grep -q -e "$1" || echo "no complaint like \"$1\" about the defect in defect.c"
}

# --- Compilers ------------------------------------------------------------------------

# compiler_says LOG: without those of modpost, which knows no symbols where no kernel is built
compiler_says()
{
	grep -E 'warning:|[Ee]rror:|\*\*\*' "$1" | grep -v 'the compiler differs from' || :
}

# compile NAME KDIR SUBDIRS VARIABLE=VALUE...: logs are NAME/build.log and, of a copy of
# defect.c, NAME-defect/build.log
compile()
{
	_name=$1 _kdir=$2 _subdirs=$3
	shift 3
	# Silent, since it complains of modpost, too. What it says is in its log.
	# shellcheck disable=SC2086 # a list of words
	"$top/scripts/build-modules.sh" "$_kdir" "$work/$_name" KBUILD_MODPOST_WARN=1 "$@" \
		$_subdirs >/dev/null 2>&1 || :
	grep -q '^  LD \[M\] .*/pcpuref\.ko' "$work/$_name/build.log" ||
		echo "pcpuref.ko was not made, see $work/$_name/build.log"
	rm -rf "$work/$_name-defect"
	cp -R "$work/defect" "$work/$_name-defect"
	make -C "$_kdir" M="$work/$_name-defect" KBUILD_MODPOST_WARN=1 "$@" modules \
		>"$work/$_name-defect/build.log" 2>&1 || :
}

# Headers of a distribution take the flags of its own compiler: clang needs others. They
# are made, and no kernel is.
clang_kernel()
{
	fragment="64BIT SMP PREEMPT PRINTK MODULES MODULE_UNLOAD SYSFS PROC_FS DEBUG_FS
KALLSYMS FTRACE ENABLE_DEFAULT_TRACERS HIGH_RES_TIMERS HOTPLUG_CPU DYNAMIC_DEBUG BUG
STACKTRACE EXPERT KUNIT DEBUG_KERNEL PROVE_LOCKING DEBUG_LIST FAULT_INJECTION"
	built_kernel clang "headers for clang" "$fragment" "ARCH=x86_64 CC=clang" \
		modules_prepare
}

# One build for three checks, the first time that one of them wants it: clang compiles,
# sparse looks at each file, and kbuild keeps how it was compiled.
# The kernel compiles with -Wall and -Wextra, less a few. W=12 takes more of these in.
# Tables of tests leave their last members out, which are 0 then.
built=$work/clang.built
rm -f "$built"
clang_build()
{
	clang_kernel
	[ ! -e "$built" ] || return 0
	compile clang "$dir" "$all" CC=clang W=12 C=2 CHECK=sparse \
		KCFLAGS=-Wno-missing-field-initializers
	: >"$built"
}

# What clang says ends with the name of the warning: "[-Wunused-variable]".
check_clang()
{
	clang_build
	compiler_says "$work/clang/build.log" | grep '\[-W\|rror:\|\*\*\*'
	compiler_says "$work/clang-defect/build.log" | expect '\[-Wunused-but-set-variable'
}

# The kernel has everything that a module may be left out without.
check_sparse()
{
	clang_build
	compiler_says "$work/clang/build.log" | grep -v '\[-W'
	compiler_says "$work/clang-defect/build.log" | expect "dereference of noderef"
	for module in pcpuref_test_faults pcpuref_test_mistakes pcpuref_kunit_life; do
		grep -q "^  CHECK .*/$module\.c" "$work/clang/build.log" ||
			echo "$module.c has not been checked"
	done
}

check_analyzer()
{
	assignments=$("$top/scripts/stock-kernel.sh" 6.12)
	eval "$assignments"
	compile analyzer "$KDIR" "$users" KCFLAGS=-fanalyzer
	compiler_says "$work/analyzer/build.log"
	compiler_says "$work/analyzer-defect/build.log" | expect Wanalyzer-null-dereference
}

# --- Other programs -------------------------------------------------------------------

# The checks that are left out complain of what the kernel's style or its macros are:
#   easily-swappable-parameters, reserved-identifier, narrowing-conversions,
#   suspicious-string-compare	int and long at will, names with "__", if (strcmp(...))
#   sizeof-expression		READ_ONCE() and its kin take the size of a pointer
#   implicit-widening-of-...	4 * HZ
#   branch-clone		two reasons for the same misuse, one below the other
#   suspicious-include		samples/porting/ compiles one file in several ways
#   DeprecatedOrUnsafe...	memcpy(): there is no memcpy_s() in the kernel
#   Padding			members stand where they are explained
tidy_checks()
{
	printf '%s' '-*,clang-analyzer-*,bugprone-*'
	printf ',-bugprone-%s' easily-swappable-parameters reserved-identifier \
		narrowing-conversions suspicious-string-compare sizeof-expression \
		implicit-widening-of-multiplication-result branch-clone suspicious-include
	printf ',-clang-analyzer-%s' security.insecureAPI.DeprecatedOrUnsafeBufferHandling \
		optin.performance.Padding
}

# It needs to know how each file is compiled: from what kbuild keeps.
check_clang_tidy()
{
	clang_build
	# shellcheck disable=SC2086 # a list of words
	folders=$(printf '|/%s' $users)
	"$source/scripts/clang-tools/gen_compile_commands.py" -d "$dir" \
		-o "$work/compile_commands.json" "$work/clang" "$work/clang-defect" 2>&1
	sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$work/compile_commands.json" |
		grep -E "^$work/clang(-defect|(|/core$folders))/[^/]*\$" |
		grep -v '\.mod\.c$' | sort -u >"$work/tidy-files"
	[ "$(wc -l <"$work/tidy-files")" -gt 25 ] || echo "few files were compiled"
	xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$work" --checks="$(tidy_checks)" \
		<"$work/tidy-files" >"$work/tidy.log" 2>/dev/null || :
	grep -E '(warning|error): ' "$work/tidy.log" | grep -v "^$work/clang-defect/" | sort -u
	grep "^$work/clang-defect/" "$work/tidy.log" | expect clang-analyzer-core.NullDereference
}

# What is left out:
#   check_bq27xxx_data, badzero	need a compiler of OCaml
#   string_choices	its functions are not in 5.10
#   minmax		takes minutes, to tell where max() would be shorter
semantic_patches()
{
	find "$source/scripts/coccinelle" -name '*.cocci' | sort |
		grep -v '/\(check_bq27xxx_data\|badzero\|string_choices\|minmax\)\.cocci$'
}

# pcpuref_kref_put_mutex() and its kin return with the lock held, if the caller's release
# has not dropped it: as those of struct kref.
check_coccicheck()
{
	rm -rf "$work"/cocci*
	mkdir "$work/cocci"
	# shellcheck disable=SC2086 # a list of words
	find ./*.[ch] core $users -name '*.[ch]' ! -name '*.mod.c' -print | sort -u |
		cpio -pdm --quiet "$work/cocci"
	cp "$work/defect/defect.c" "$work/cocci/"
	# Given a folder, it passes over files that lack a word of the patch.
	# shellcheck disable=SC2016 # for the shell that xargs starts
	(
		cd "$work/cocci"
		semantic_patches | xargs -P "$(nproc)" -I '{}' sh -c '
			options=$(sed -n "s,^// *Options: *,,p" "$1")
			timeout 200 spatch -D report --very-quiet --no-show-diff \
				--cocci-file "$1" $options --dir . </dev/null 2>>../cocci.log ||
				echo "$1: status $?"' sh '{}'
	) >"$work/cocci.out"
	grep -v '^$\|^\./defect\.c:\|^\./pcpuref_kref\.h:.* preceding lock on' "$work/cocci.out"
	grep '^\./defect\.c:' "$work/cocci.out" | expect 'NULL check before'
}

# --- All ------------------------------------------------------------------------------

for check; do
	begin=$(date +%s)
	# What ends the shell, such as a kernel that cannot be built, says so elsewhere.
	why=$(set +e; "check_$(echo "$check" | tr - _)"; echo complete) || :
	case $why in
	*complete) why=${why%complete} ;;
	*) why="$why
the check did not come to its end" ;;
	esac
	verdict "$check" "$why"
	echo "# $check took $(($(date +%s) - begin)) s"
done

echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
