/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds a reference. The functions are in pcpuref_holders.ko.
 *
 * By call site, without a change of the source: a client that is compiled with
 * -DPCPUREF_DEBUG has its gets and puts accounted, by where they are called and
 * by which task. That is in pcpuref_debug.h, which pcpuref.h includes then.
 *
 * Exactly, with tokens: pcpuref_get_tracked() remembers stack, task and time
 * until pcpuref_put_tracked() is given the same token.
 *
 * Both are printed by pcpuref_dump(), by pcpuref_watch.ko when a reference is
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
 * Zeroed to begin with. Its memory is the client's, and is not looked at between
 * get and put: a token that is lost is found all the same.
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
