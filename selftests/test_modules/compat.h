/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test modules need and what differs between kernels 5.10 and 7.3:
 * timers that run in hard or soft interrupt context, and a way to send an NMI.
 */
#ifndef PCPUREF_TEST_COMPAT_H
#define PCPUREF_TEST_COMPAT_H

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/version.h>

/* hrtimer_init() went soon after. */
#define TEST_HRTIMER_SETUP_CAME KERNEL_VERSION(6, 13, 0)

static inline void test_timer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*func)(struct hrtimer *),
				    enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= TEST_HRTIMER_SETUP_CAME
	hrtimer_setup(timer, func, CLOCK_MONOTONIC, mode);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = func;
#endif
}

#if defined(CONFIG_X86) && defined(CONFIG_X86_LOCAL_APIC) && defined(CONFIG_SMP) && \
	!defined(CONFIG_UML)
#define TEST_HAVE_NMI 1
#include <asm/apic.h>
#include <asm/nmi.h>

/* False if the CPU is offline: those must be left alone. */
/* It does not go offline meanwhile. */
static inline void __test_send_nmi(int cpu)
{
	apic->send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}

static inline bool test_send_nmi(int cpu)
{
	bool online;

	cpus_read_lock();
	online = cpu_online(cpu);
	if (online)
		__test_send_nmi(cpu);
	cpus_read_unlock();
	return online;
}
#endif

#endif /* PCPUREF_TEST_COMPAT_H */
