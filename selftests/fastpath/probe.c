// SPDX-License-Identifier: GPL-2.0-only
/* One function for each inline path; scripts/fastpath.sh disassembles them. */
#include "pcpuref.h"

void probe_get(struct pcpuref *ref);
void probe_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
}

void probe_put(struct pcpuref *ref);
void probe_put(struct pcpuref *ref)
{
	pcpuref_put(ref);
}

void probe_put_many(struct pcpuref *ref, unsigned long nr);
void probe_put_many(struct pcpuref *ref, unsigned long nr)
{
	pcpuref_put_many(ref, nr);
}

bool probe_tryget(struct pcpuref *ref);
bool probe_tryget(struct pcpuref *ref)
{
	return pcpuref_tryget(ref);
}

bool probe_tryget_live(struct pcpuref *ref);
bool probe_tryget_live(struct pcpuref *ref)
{
	return pcpuref_tryget_live(ref);
}
