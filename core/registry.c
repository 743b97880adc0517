// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is there. Each CPU lists what was initialised on it, so CPUs which
 * initialise do not meet; one that exits what another initialised takes that one's
 * lock. The low bits of a number say which CPU. What is listed is attached: who
 * finds it under the shard's lock may pin it. Locks: the reference's, then the
 * shard's.
 */
#include <linux/cpumask.h>
#include <linux/export.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "rooms.h"

/* One CPU's part of the registry: what was initialised there, oldest first. */
struct shard {
	raw_spinlock_t		lock;
	struct list_head	refs;
	u64			last;
};

static DEFINE_PER_CPU(struct shard, registry);
static unsigned int id_cpu_bits;

static int cpu_of(u64 id)
{
	return id & (BIT(id_cpu_bits) - 1);
}

static u64 last_id(const struct shard *shard, int cpu)
{
	return shard->last << id_cpu_bits | cpu;
}

void __pcpuref_list(struct pcpuref_data *d)
{
	struct shard *shard;
	unsigned long flags;

	local_irq_save(flags);
	shard = this_cpu_ptr(&registry);
	raw_spin_lock(&shard->lock);
	shard->last++;
	d->id = last_id(shard, smp_processor_id());
	list_add_tail(&d->node, &shard->refs);
	raw_spin_unlock(&shard->lock);
	local_irq_restore(flags);
}

void __pcpuref_unlist(struct pcpuref_data *d)
{
	struct shard *shard = per_cpu_ptr(&registry, cpu_of(d->id));

	lockdep_assert_held(&d->lock);
	raw_spin_lock(&shard->lock);
	list_del_init(&d->node);
	raw_spin_unlock(&shard->lock);
}

/*
 * The first in @shard after where @walk is, or NULL. What was initialised after
 * the walk came to this shard is left out: else it might never end.
 */
static struct pcpuref_data *listed_after(struct shard *shard, const struct pcpuref_walk *walk)
{
	struct pcpuref_data *d = walk->at;

	lockdep_assert_held(&shard->lock);

	if (d && cpu_of(d->id) == walk->cpu && !list_empty(&d->node)) {
		d = list_next_entry(d, node);
	} else {
		/* Where it was is gone: numbers ascend, so find the next one up. */
		list_for_each_entry(d, &shard->refs, node)
			if (d->id > walk->id)
				break;
	}
	return &d->node == &shard->refs || d->id > walk->end ? NULL : d;
}

struct pcpuref_walk __pcpuref_walk_to(u64 id)
{
	return (struct pcpuref_walk) { .cpu = cpu_of(id), .id = id - 1, .end = id };
}

bool __pcpuref_walk_step(struct pcpuref_walk *walk)
{
	struct pcpuref_data *last = walk->at;
	struct pcpuref_data *d = NULL;
	struct shard *shard;
	unsigned long flags;

	while (!d && walk->cpu < nr_cpu_ids) {
		if (cpu_possible(walk->cpu)) {
			shard = per_cpu_ptr(&registry, walk->cpu);
			raw_spin_lock_irqsave(&shard->lock, flags);
			if (!walk->end)
				walk->end = last_id(shard, walk->cpu);
			d = listed_after(shard, walk);
			if (d)
				__pcpuref_pin(d);
			raw_spin_unlock_irqrestore(&shard->lock, flags);
		}
		walk->id = d ? d->id : 0;
		if (!d) {
			walk->cpu++;
			walk->end = 0;
		}
	}
	walk->at = d;
	if (last)
		__pcpuref_unpin(last);
	return d;
}

/**
 * pcpuref_walk_end - stop looking
 * @walk: where the walk is; may be at the end or not begun
 *
 * Pairs with pcpuref_walk_next().
 *
 * Context: any but NMI.
 */
void pcpuref_walk_end(struct pcpuref_walk *walk)
{
	if (walk->at)
		__pcpuref_unpin(walk->at);
	walk->at = NULL;
}
EXPORT_SYMBOL_GPL(pcpuref_walk_end);

void __pcpuref_registry_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct shard *shard = per_cpu_ptr(&registry, cpu);

		raw_spin_lock_init(&shard->lock);
		INIT_LIST_HEAD(&shard->refs);
	}
	id_cpu_bits = order_base_2(nr_cpu_ids);
}
