/* SPDX-License-Identifier: GPL-2.0-only */
/* One kind of client for the stress: the calls as STRESS_KIND compiles them. */
#include <linux/stringify.h>

#include "pcpuref.h"
#include "pcpuref_test_stress.h"

static int kind_init(struct pcpuref *ref, pcpuref_func_t *release, unsigned int flags, gfp_t gfp)
{
	return pcpuref_init(ref, release, flags, gfp);
}

static void kind_get(struct pcpuref *ref, unsigned long nr)
{
	if (nr == 1)
		pcpuref_get(ref);
	else
		pcpuref_get_many(ref, nr);
}

static bool kind_tryget(struct pcpuref *ref, unsigned long nr)
{
	return nr == 1 ? pcpuref_tryget(ref) : pcpuref_tryget_many(ref, nr);
}

static bool kind_tryget_live(struct pcpuref *ref, unsigned long nr)
{
	return nr == 1 ? pcpuref_tryget_live(ref) : pcpuref_tryget_live_many(ref, nr);
}

static bool kind_tryget_live_rcu(struct pcpuref *ref)
{
	return pcpuref_tryget_live_rcu(ref);
}

static bool kind_get_unless_zero(struct pcpuref *ref)
{
	return pcpuref_get_unless_zero(ref);
}

static void kind_put(struct pcpuref *ref, unsigned long nr)
{
	if (nr == 1)
		pcpuref_put(ref);
	else
		pcpuref_put_many(ref, nr);
}

const struct stress_kind STRESS_KIND = {
	.name = __stringify(STRESS_KIND),
	.init = kind_init,
	.get = kind_get,
	.tryget = kind_tryget,
	.tryget_live = kind_tryget_live,
	.tryget_live_rcu = kind_tryget_live_rcu,
	.get_unless_zero = kind_get_unless_zero,
	.put = kind_put,
};
