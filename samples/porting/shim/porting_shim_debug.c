// SPDX-License-Identifier: GPL-2.0-only
/* Compiled as the Kbuild here says, under another name. */
#include "../porting_percpu_ref.c"
