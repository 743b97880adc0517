// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose references: each module that initialises some is a client, and so is all
 * that is built into the kernel together. The core counts for each client what it
 * has to complete: so pcpuref_barrier() waits for the caller's callbacks and not
 * for those of others.
 *
 * What leads to something else begins it before it is complete itself: a release
 * that kills another reference returns after that. So the count of a client is
 * zero only when such a chain has come to its end.
 */
#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "rooms.h"

static DEFINE_RAW_SPINLOCK(clients_lock);
static LIST_HEAD(clients);

static struct pcpuref_client *find(const struct module *owner)
{
	struct pcpuref_client *client;

	lockdep_assert_held(&clients_lock);
	list_for_each_entry(client, &clients, node)
		if (client->owner == owner)
			return client;
	return NULL;
}

struct pcpuref_client *__pcpuref_find_client(const struct module *owner)
{
	struct pcpuref_client *client;
	unsigned long flags;

	raw_spin_lock_irqsave(&clients_lock, flags);
	client = find(owner);
	raw_spin_unlock_irqrestore(&clients_lock, flags);

	return client;
}

/* The first reference of a site; whoever comes second finds the first's. */
static struct pcpuref_client *add(struct module *owner, gfp_t gfp)
{
	struct pcpuref_client *new = kzalloc(sizeof(*new), gfp);
	struct pcpuref_client *client;
	unsigned long flags;

	if (!new)
		return NULL;
	new->owner = owner;
	raw_spin_lock_irqsave(&clients_lock, flags);
	client = find(owner);
	if (!client) {
		list_add(&new->node, &clients);
		swap(client, new);
	}
	raw_spin_unlock_irqrestore(&clients_lock, flags);
	kfree(new);

	return client;
}

struct pcpuref_client *__pcpuref_client(struct pcpuref_site *site, gfp_t gfp)
{
	/* Pairs with the smp_store_release() below, by the dependency (litmus: p1-publish). */
	struct pcpuref_client *client = READ_ONCE(site->client);

	if (likely(client))
		return client;
	client = __pcpuref_find_client(site->owner) ?: add(site->owner, gfp & ~__GFP_ACCOUNT);
	/* Pairs with the READ_ONCE() above. */
	smp_store_release(&site->client, client);
	return client;
}

void __pcpuref_wait_for_client(struct pcpuref_client *client)
{
	/* Callbacks have returned: pairs with __pcpuref_landed() (litmus: q1-landed-wait). */
	while (atomic_read_acquire(&client->in_flight))
		schedule_timeout_uninterruptible(1);
}

void __pcpuref_forget_client(struct pcpuref_client *client, bool leave)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&clients_lock, flags);
	list_del(&client->node);
	raw_spin_unlock_irqrestore(&clients_lock, flags);
	/* An NMI that was held up may be about to count what it leaves behind. */
	if (!leave)
		kfree_rcu(client, rcu);
}
