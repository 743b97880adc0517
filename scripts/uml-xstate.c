// SPDX-License-Identifier: GPL-2.0-only
/*
 * UML before 6.16 keeps 2696 bytes of a process's extended registers. The host
 * wants to have all of them back or none, and a processor with AMX has more. To
 * be preloaded: what UML gives is laid over what the host has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (ptrace_t)(enum __ptrace_request request, ...);

static long set_all(ptrace_t *real, pid_t pid, void *type, const struct iovec *part)
{
	/* More than any processor has today; the host says how much it is. */
	static __thread char all[64 * 1024];
	struct iovec whole = { .iov_base = all, .iov_len = sizeof(all) };

	if (real(PTRACE_GETREGSET, pid, type, &whole) < 0)
		return -1;
	if (whole.iov_len <= part->iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(all, part->iov_base, part->iov_len);
	return real(PTRACE_SETREGSET, pid, type, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_t *real;
	void *address, *data;
	va_list args;
	pid_t pid;
	long ret;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	address = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);

	if (!real)
		real = (ptrace_t *)dlsym(RTLD_NEXT, "ptrace");
	ret = real(request, pid, address, data);
	if (ret < 0 && errno == EFAULT && request == PTRACE_SETREGSET &&
	    (unsigned long)address == NT_X86_XSTATE)
		ret = set_all(real, pid, address, data);
	return ret;
}
