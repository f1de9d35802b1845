// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into a user-mode kernel on a processor whose extended state (XSAVE) is longer than the
 * kernel keeps: Linux before 6.13 has room for 2696 bytes, which is all up to AVX-512 and PKRU, but
 * a processor with AMX has about 11000.  Reading a process's state into a shorter buffer is cut off;
 * writing a part of it is refused (EFAULT), and the kernel kills the guest's process, at the first
 * return to user space: "Attempted to kill init".
 *
 * This ptrace() writes the whole state: what the kernel kept over what the process has.
 *
 * No C library is linked, since kernels come with libraries older and newer than the compiler's.
 */
#include <elf.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define STATE_BYTES 65536

extern int *__errno_location(void);

/* Not on the stack, which is a small one of the kernel's; it has one thread that traces. */
static char state[STATE_BYTES] __attribute__((aligned(64)));

static long system_ptrace(long request, long pid, long address, long data)
{
	long result = SYS_ptrace;
	register long fourth __asm__("r10") = data;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(request), "S"(pid), "d"(address), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

static long returned(long result)
{
	if (result >= 0)
		return result;
	*__errno_location() = (int)-result;
	return -1;
}

static long write_whole_state(long pid, const struct iovec *kept)
{
	struct iovec whole = { state, sizeof(state) };
	const char *from = kept->iov_base;
	long result = system_ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (long)&whole);
	unsigned long at;

	if (result < 0)
		return result;
	if (whole.iov_len <= kept->iov_len)
		return system_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)kept);
	for (at = 0; at < kept->iov_len; at++)
		((volatile char *)state)[at] = from[at];	/* else a call of memcpy */
	return system_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&whole);
}

__attribute__((visibility("default"))) long ptrace(enum __ptrace_request request, ...)
{
	long pid, address, data, peeked, result;
	va_list arguments;

	va_start(arguments, request);
	pid = va_arg(arguments, int);
	address = va_arg(arguments, long);
	data = va_arg(arguments, long);
	va_end(arguments);
	switch (request) {
	case PTRACE_SETREGSET:
		if (address != NT_X86_XSTATE)
			break;
		return returned(write_whole_state(pid, (const struct iovec *)data));
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER:	/* the C library returns the word that the system call stores */
		result = system_ptrace(request, pid, address, (long)&peeked);
		if (result < 0)
			return returned(result);
		*__errno_location() = 0;
		return peeked;
	default:
		break;
	}
	return returned(system_ptrace(request, pid, address, data));
}
