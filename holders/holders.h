/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of pcpuref_holders.ko share. Arrows point up: module.c uses
 * suspects.c and tokens.c, accounts.c and suspects.c use places.c.
 *
 * Locks, each taken inside those before it: suspects_lock of suspects.c; one bucket's
 * of accounts.c; places_lock of places.c. An NMI only tries.
 */
#ifndef PCPUREF_HOLDERS_INTERNAL_H
#define PCPUREF_HOLDERS_INTERNAL_H

#include <linux/cpumask.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "pcpuref_inspect.h"
#include "pcpuref_kernel.h"

struct module;

/* Of what an NMI has interrupted, nothing can be waited for. */
static inline bool pcpuref_holders_lock(raw_spinlock_t *lock, unsigned long *flags)
{
	local_irq_save(*flags);
	if (!pcpuref_in_nmi()) {
		raw_spin_lock(lock);
	} else if (!raw_spin_trylock(lock)) {
		local_irq_restore(*flags);
		return false;
	}
	__release(lock);
	return true;
}

static inline void pcpuref_holders_unlock(raw_spinlock_t *lock, unsigned long flags)
{
	__acquire(lock);
	raw_spin_unlock_irqrestore(lock, flags);
}

/* --- places.c: where gets and puts are called ---------------------------------- */

/* A place in the code by its number; 0 is none. */
typedef u16 place_t;

#define MAX_PLACES	2048

/* Places that a put is told of at once; more of them teach it nothing. */
#define MAX_OPEN	64

place_t __pcpuref_place(unsigned long address, unsigned long caller, const void *call);
unsigned int __pcpuref_place_kinship(place_t put, place_t get);
void __pcpuref_place_learn(place_t put, const place_t *open, unsigned int nr);
bool __pcpuref_place_may_put(place_t put, place_t get);
bool __pcpuref_place_may_put_any(place_t put, const place_t *open, unsigned int nr);
bool __pcpuref_place_is_known(place_t put);
bool __pcpuref_place_knows_one(place_t put);
unsigned int __pcpuref_place_nth_use(place_t put);
bool __pcpuref_place_is_handed_over(place_t place);
bool __pcpuref_place_set_handed_over(place_t place);

/* Long enough for a function and its module. */
#define PLACE_SIZE	192

const char *__pcpuref_place_text(place_t place, char *text);
const char *__pcpuref_place_caller_text(place_t place, char *text);

bool __pcpuref_places_keep_names(const struct module *module, bool init_only);
void __pcpuref_places_put(unsigned long *gets);
void __pcpuref_places_reuse(unsigned long *used);

int __pcpuref_places_init(void);
void __pcpuref_places_exit(void);

/* --- accounts.c: what is out, by task ------------------------------------------- */

#define SLOTS	5

/* Accounts in a bucket, and buckets that have one reference's accounts. */
#define WAYS	8
#define SPAN	32

/**
 * struct pcpuref_slot - gets, or puts, of one reference at one place
 * @count: gets that are not undone; or, if negative, puts of which it is not known
 *	what they undo
 * @when: of the last one, in jiffies
 * @place: where; 0 if the slot is free
 */
struct pcpuref_slot {
	s64	count;
	u32	when;
	place_t	place;
};

/**
 * struct pcpuref_account - what a task has got of a reference, and not put
 * @ref: to compare only
 * @who: a task, to compare only; or a CPU's number plus one, for what is in no task's
 *	name
 * @pid: the task's number; 0 with a CPU
 * @comm: and its name
 * @slots: by place
 */
struct pcpuref_account {
	const struct pcpuref	*ref;
	const void		*who;
	pid_t			pid;
	char			comm[TASK_COMM_LEN];
	struct pcpuref_slot	slots[SLOTS];
};

/* Whether an account is a CPU's: the address of a task_struct is never that small. */
static inline bool pcpuref_account_is_common(const struct pcpuref_account *account)
{
	return (unsigned long)account->who <= nr_cpu_ids;
}

typedef void pcpuref_slot_func_t(const struct pcpuref_account *account,
				 const struct pcpuref_slot *slot);

void __pcpuref_accounts_of(const struct pcpuref *ref, pcpuref_slot_func_t *func);
void __pcpuref_accounts_forget(const struct pcpuref *ref);
void __pcpuref_accounts_in_common(void);
void __pcpuref_accounts_places(unsigned long *used);
unsigned long __pcpuref_accounts_lost(void);

int __pcpuref_accounts_init(void);
void __pcpuref_accounts_exit(void);

/* --- suspects.c: what can be told of it ------------------------------------------ */

void __pcpuref_suspects_learn(const struct pcpuref *ref, place_t put, unsigned int nth);
void __pcpuref_suspects_print(const struct pcpuref *ref, u64 id, bool puts_only);

void __pcpuref_suspects_module_gone(const struct module *module, bool init_only);

int __pcpuref_suspects_init(void);
void __pcpuref_suspects_exit(void);

/* --- tokens.c ----------------------------------------------------------------------- */

void __pcpuref_tokens_print(const struct pcpuref *ref, u64 id, bool again);
void __pcpuref_tokens_forget(const struct pcpuref *ref);

int __pcpuref_tokens_init(void);
void __pcpuref_tokens_exit(void);

#endif /* PCPUREF_HOLDERS_INTERNAL_H */
