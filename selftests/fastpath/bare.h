/* SPDX-License-Identifier: GPL-2.0-only */
/* What bare.c has to know of pcpuref, written out once more. */
#ifndef BARE_H
#define BARE_H

#include <linux/types.h>

struct pcpuref {
	unsigned long	word;
	void		*data;
};

void __pcpuref_get_slow(struct pcpuref *ref);
bool __pcpuref_tryget_slow(struct pcpuref *ref);
bool __pcpuref_tryget_live_slow(struct pcpuref *ref);
void __pcpuref_put_slow(struct pcpuref *ref);
void __pcpuref_put_many_slow(struct pcpuref *ref, unsigned long nr);

void probe_get(struct pcpuref *ref);
void probe_put(struct pcpuref *ref);
void probe_put_many(struct pcpuref *ref, unsigned long nr);
bool probe_tryget(struct pcpuref *ref);
bool probe_tryget_live(struct pcpuref *ref);

#endif /* BARE_H */
