#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-compat.sh [KERNEL]: what a driver sees that is compiled with pcpuref_compat.h:
# code as it is written for percpu_ref and kref compiles without a warning, and what
# cannot work is an error that says what it is about. Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_build_packages
assignments=$("$top/scripts/stock-kernel.sh" "${1:-6.12}")
eval "$assignments"
work_dir compat
rm -rf "$work/driver"
mkdir "$work/driver"
cd "$work/driver"

# The driver. Its own structure has both counts; it meets those of the kernel.
cat >driver.c <<'END'
// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "driver: " fmt

#include <linux/module.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/percpu-refcount.h>
#include <linux/slab.h>
#include <linux/memremap.h>

struct object {
	struct percpu_ref ref;
	struct kref kref;
	bool gone;
};

int use(struct object *o, struct request_queue *q, struct cgroup_subsys_state *css,
	struct kobject *kobj, struct mutex *mutex, spinlock_t *lock);

static struct kref fixed = KREF_INIT(1);

static void release(struct percpu_ref *ref)
{
	struct object *o = container_of(ref, struct object, ref);

	percpu_ref_exit(ref);
	kfree(o);
}

static void confirm(struct percpu_ref *ref)
{
	container_of(ref, struct object, ref)->gone = true;
}

static void kref_release(struct kref *kref)
{
	percpu_ref_kill(&container_of(kref, struct object, kref)->ref);
}

static percpu_ref_func_t *const callback = release;

int use(struct object *o, struct request_queue *q, struct cgroup_subsys_state *css,
	struct kobject *kobj, struct mutex *mutex, spinlock_t *lock)
{
	int err = percpu_ref_init(&o->ref, callback, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);

	if (err)
		return err;
	percpu_ref_get(&o->ref);
	percpu_ref_get_many(&o->ref, 2);
	percpu_ref_put(&o->ref);
	percpu_ref_put_many(&o->ref, 2);
	if (percpu_ref_tryget(&o->ref) && percpu_ref_tryget_many(&o->ref, 2))
		percpu_ref_put_many(&o->ref, 3);
	percpu_ref_tryget_live(&o->ref);
	rcu_read_lock();
	percpu_ref_tryget_live_rcu(&o->ref);
	rcu_read_unlock();
	percpu_ref_switch_to_atomic(&o->ref, confirm);
	percpu_ref_switch_to_atomic_sync(&o->ref);
	percpu_ref_switch_to_percpu(&o->ref);
	percpu_ref_kill_and_confirm(&o->ref, confirm);
	percpu_ref_resurrect(&o->ref);
	percpu_ref_kill(&o->ref);
	if (percpu_ref_is_dying(&o->ref) && percpu_ref_is_zero(&o->ref))
		percpu_ref_reinit(&o->ref);
	pr_info("%ld\n", atomic_long_read(&o->ref.data->count));
	rcu_barrier();

	/* The kernel's stay the kernel's. */
	if (percpu_ref_tryget_live(&q->q_usage_counter))
		percpu_ref_put(&q->q_usage_counter);
	css_get(css);
	css_put(css);
	kobject_get(kobj);
	kobject_put(kobj);

	kref_init(&o->kref);
	kref_get(&o->kref);
	if (kref_get_unless_zero(&o->kref) && kref_read(&o->kref) > 1)
		kref_put(&o->kref, kref_release);
	kref_put_mutex(&o->kref, kref_release, mutex);
	kref_put_lock(&o->kref, kref_release, lock);
	return kref_read(&fixed);
}

MODULE_DESCRIPTION("Compiled, never loaded");
MODULE_LICENSE("GPL");
END

cat >Kbuild <<END
PCPUREF := $top
include \$(PCPUREF)/compat/Kbuild.include
obj-m := driver.o
END

# build [NAME=VALUE]...: compile the driver as its own Makefile would.
build()
{
	make -C "$KDIR" M="$PWD" KBUILD_MODPOST_WARN=1 "$@" driver.o >log 2>&1
}

# calls SYMBOL: the object refers to it
calls()
{
	nm -u driver.o | grep -qw "$1"
}

# compiles NAME "SYMBOL..." "NOT-THESE..." [NAME=VALUE]...
compiles()
{
	_name=$1
	_calls=$2
	_calls_not=$3
	shift 3
	_why=
	rm -f driver.o
	build "$@" || _why=$(grep -i error log || tail -n 5 log)
	[ -n "$_why" ] || _why=$(grep -i warning log || :)
	if [ -z "$_why" ]; then
		for _s in $_calls; do
			calls "$_s" || _why="$_why no call of $_s"
		done
		for _s in $_calls_not; do
			! calls "$_s" || _why="$_why a call of $_s"
		done
	fi
	verdict "$_name" "$_why"
}

compiles with_krefs "__pcpuref_init __pcpuref_kref_bad_get" \
	"percpu_ref_init percpu_ref_kill_and_confirm refcount_warn_saturate
	__pcpuref_note_get" PCPUREF_COMPAT_KREF=y
compiles without_krefs "__pcpuref_init __pcpuref_barrier rcu_barrier refcount_warn_saturate" \
	"percpu_ref_init __pcpuref_kref_bad_get"
compiles with_debug "__pcpuref_init __pcpuref_note_get __pcpuref_note_put" \
	"percpu_ref_init" KCFLAGS=-DPCPUREF_DEBUG
compiles with_zero "__pcpuref_init strstr" "percpu_ref_init" \
	KCFLAGS='-DPCPUREF_COMPAT_ALLOW_ZERO=\"o-\>ref\"'

# The command that compiled it, for what shall not compile.
build || :
command=$(sed -n 's/^\(saved\)\{0,1\}cmd_.*driver\.o := //p' .driver.o.cmd | head -n 1)
case $command in
*driver.c*) ;;
*) die "no compiler's command in .driver.o.cmd" ;;
esac
command=$(printf '%s\n' "$command" | sed 's/ ; .*//; s/ -Wp,-MMD,[^ ]*//; s/ -o [^ ]*//; s, [^ ]*driver\.c$,,')
# judge FILE [FLAG]...: in the folder of the headers, where the build ran
judge()
{
	_file=$PWD/$1
	shift
	(cd "$KDIR" && eval "$command $* -fsyntax-only $_file")
}

# refuses NAME PATTERN [FLAG]...: the statements of stdin, at the end of a copy
refuses()
{
	_name=$1
	_pattern=$2
	shift 2
	{
		cat driver.c
		cat <<END
void wrong(struct object *o, struct request_queue *q, struct kobject *kobj);
static void __maybe_unused own(struct percpu_ref *ref) { }
void wrong(struct object *o, struct request_queue *q, struct kobject *kobj)
{
	$(cat)
}
END
	} >wrong.c
	_why=
	if judge wrong.c "$@" >log 2>&1; then
		_why="it compiles"
	elif ! grep -q "error: .*$_pattern" log; then
		_why="no such error: $_pattern
$(grep error log | head -n 5)"
	fi
	verdict "$_name" "$_why"
}

quote="[‘']"
own="struct pcpuref \*"
kernels="struct percpu_ref \*"
if judge driver.c >log 2>&1; then
	verdict the_command_is_right ""
else
	verdict the_command_is_right "$(head -n 5 log)"
fi

refuses kernels_for_own "incompatible pointer type" <<'END'
own(&q->q_usage_counter);
END
verdict kernels_for_own_says_which "$(grep -q "expected.*$own.*but argument is of type.*$kernels" log ||
	cat log)"
refuses own_for_kernels "incompatible pointer type" <<'END'
percpu_ref_func_t *f = (void *)0; struct percpu_ref *r = &q->q_usage_counter; f(r);
END
refuses another_pointer "int \*.*not compatible with any association" <<'END'
int i = 0; percpu_ref_get(&i);
END
refuses a_private_function "no __ref_is_percpu(): the counters are private" <<'END'
unsigned long __percpu *p; __ref_is_percpu(&o->ref, &p);
END
refuses a_private_member "no member named ${quote}no_percpu_count_ptr_in_pcpuref" <<'END'
o->ref.percpu_count_ptr = 0;
END
refuses a_member_of_data "no member named ${quote}no_force_atomic_in_pcpuref" <<'END'
o->ref.data->force_atomic = true;
END
refuses release_of_data "struct pcpuref_data.* has no member named ${quote}release" <<'END'
o->ref.data->release(&o->ref);
END
refuses a_bare_name "incompatible pointer type" <<'END'
void (*put)(struct percpu_ref *ref) = percpu_ref_put; put(&o->ref);
END
refuses member_of_kref "struct pcpuref_kref.* has no member named ${quote}refcount" \
	-DPCPUREF_COMPAT_KREF <<'END'
refcount_inc(&o->kref.refcount);
END

# What is wrong with the build is told before anything is compiled.
_why=
! build PCPUREF_COMPAT_OWN=target/no_such.h || _why="it builds"
grep -q "PCPUREF_COMPAT_OWN: no include/target/no_such.h in " log || _why="$_why $(tail -n 3 log)"
verdict no_such_header "$_why"
mkdir -p whole/include/linux
echo '#define PCPUREF_COMPAT_WHOLE_KERNEL' >whole/include/linux/percpu-refcount.h
_why=
! "$top/compat/wrap.sh" whole out >log 2>&1 || _why="it is wrapped"
grep -q "all of whole is compiled with pcpuref_compat.h already" log || _why="$_why $(cat log)"
verdict whole_kernel "$_why"

# By hand, for a Makefile that must not be touched: the commands of porting.rst.
mkdir by-hand
cp "$top/samples/porting/porting_percpu_ref.c" "$top"/samples/porting/*.h by-hand/
echo 'obj-m := porting_percpu_ref.o' >by-hand/Makefile
common=$(sed -n 's,^include \(/.*\)/Makefile$,\1,p' "$KDIR/Makefile")
_why=
sh "$top/compat/wrap.sh" "${common:-$KDIR}" "$PWD/headers" >log 2>&1 || _why=$(cat log)
make -C "$KDIR" M="$PWD/by-hand" CC="gcc -I$PWD/headers -I$top" KBUILD_MODPOST_WARN=1 \
	porting_percpu_ref.o >log 2>&1 || _why="$_why $(tail -n 5 log)"
nm -u by-hand/porting_percpu_ref.o >symbols 2>&1 || :
grep -qw __pcpuref_init symbols || _why="$_why no call of __pcpuref_init"
! grep -qw percpu_ref_init symbols || _why="$_why a call of percpu_ref_init"
verdict by_hand "$_why"

[ -d .pcpuref-compat ] || die "the headers are not where they should be"
make -C "$KDIR" M="$PWD" clean >log 2>&1
_why=
[ ! -e .pcpuref-compat ] || _why="the headers are left"
verdict make_clean "$_why"

# A client of pcpuref itself that asks and does not look at the answer.
mkdir careless
echo 'obj-m := careless.o' >careless/Kbuild
{
	cat <<'END'
#include <linux/module.h>
#include <pcpuref.h>
#include <pcpuref_kref.h>

void careless(struct pcpuref *ref, pcpuref_func_t *release, struct pcpuref_kref *kref);
void careless(struct pcpuref *ref, pcpuref_func_t *release, struct pcpuref_kref *kref)
{
END
	cat >statements <<'END'
	pcpuref_init(ref, release, 0, GFP_KERNEL);
	pcpuref_init_named(ref, release, 0, GFP_KERNEL, "name");
	pcpuref_tryget(ref);
	pcpuref_tryget_many(ref, 2);
	pcpuref_tryget_live(ref);
	pcpuref_tryget_live_many(ref, 2);
	pcpuref_tryget_live_rcu(ref);
	pcpuref_get_unless_zero(ref);
	pcpuref_kref_get_unless_zero(kref);
END
	cat statements
	echo "}"
} >careless/careless.c
for flags in "" -DPCPUREF_DEBUG; do
	make -C "$KDIR" M="$PWD/careless" KCFLAGS="-I$top $flags" careless.o >log 2>&1 || :
	rm -f careless/careless.o
	_why=
	told=$(grep -c 'ignoring return value of' log) || :
	[ "$told" -eq "$(wc -l <statements)" ] || _why="$told of $(wc -l <statements) are told
$(head -n 20 log)"
	verdict "careless_is_told${flags:+_with_debug}" "$_why"
done

echo "1..$number"
[ "$failures" -eq 0 ]
