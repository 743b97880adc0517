/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a module's code finds in the kernel, for one that runs in a process:
 * per-CPU variables, thunks, and functions that no loop may come to.
 */
#include "native.h"

/* Per-CPU addresses: offsets in the area. */
.macro percpu name, offset
	.globl \name
	.set \name, \offset
.endm
	percpu pcpu_hot, NATIVE_HOT
	percpu const_pcpu_hot, NATIVE_HOT
	percpu current_task, NATIVE_HOT
	percpu __preempt_count, NATIVE_HOT + 8

	.text

/* main.c takes the calls out, as the kernel does. */
	.globl __fentry__
__fentry__:
	ret

/* Likewise; this is for what the assembler has made of a return elsewhere. */
	.globl __x86_return_thunk
__x86_return_thunk:
	ret

/* Kernels without preemptible RCU may have it, and it does nothing there. */
	.globl rcu_read_unlock_strict
rcu_read_unlock_strict:
	ret

.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.globl __x86_indirect_thunk_\reg
__x86_indirect_thunk_\reg:
	jmp *%\reg
.endr

/* Kernel code aligns the stack to 8 bytes, C of a process expects 16. */
.macro slow name
	.globl \name
\name:
	lea 9f(%rip), %rdi
	and $-16, %rsp
	call native_slow
	.pushsection .rodata
9:	.asciz "\name"
	.popsection
.endm
	slow __pcpuref_get_slow
	slow __pcpuref_put_slow
	slow __pcpuref_tryget_live_slow
	slow __pcpuref_get_slow_tasks
	slow __pcpuref_put_slow_tasks
	slow __pcpuref_tryget_live_slow_tasks
	slow __pcpuref_got_odd
	slow __pcpuref_have_put_odd
	slow __pcpuref_kref_bad_get
	slow __pcpuref_kref_bad_put
	slow __pcpuref_kref_no_release
	slow refcount_warn_saturate
	slow __SCT__preempt_schedule_notrace
	slow native_rcu_special
	slow __stack_chk_fail

	.section .note.GNU-stack, "", @progbits
