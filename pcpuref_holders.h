/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds a reference? The functions are in pcpuref_holders.ko.
 *
 * There are two ways to find out. The first needs no change of the source: the gets
 * and puts of a client that is compiled with -DPCPUREF_DEBUG are accounted by call
 * site and task. This is in pcpuref_debug.h, which pcpuref.h then includes.
 *
 * The second is exact, and uses tokens: pcpuref_get_tracked() remembers stack, task
 * and time until pcpuref_put_tracked() is called with the same token.
 *
 * What is known is printed by pcpuref_dump(), by pcpuref_watch.ko when a reference is
 * stuck, and when a reference exits while somebody holds it.
 */

#ifndef PCPUREF_HOLDERS_H
#define PCPUREF_HOLDERS_H

#include <linux/gfp.h>
#include <linux/types.h>

#include "pcpuref.h"

struct pcpuref_tracker;

/**
 * struct pcpuref_token - one tracked reference
 * @tracker: private
 *
 * Zero it before its first use. Its memory belongs to the client. It is not accessed
 * between get and put, so the holder is known even if the client loses the token.
 */
struct pcpuref_token {
	struct pcpuref_tracker	*tracker;
};

void pcpuref_get_tracked(struct pcpuref *ref, struct pcpuref_token *token, gfp_t gfp);
bool __must_check pcpuref_tryget_tracked(struct pcpuref *ref,
					 struct pcpuref_token *token, gfp_t gfp);
bool __must_check pcpuref_tryget_live_tracked(struct pcpuref *ref,
					      struct pcpuref_token *token, gfp_t gfp);
int pcpuref_put_tracked(struct pcpuref *ref, struct pcpuref_token *token);

#endif /* PCPUREF_HOLDERS_H */
