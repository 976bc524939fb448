/* SPDX-License-Identifier: Apache-2.0
 * One line instead of an illegal instruction.
 */
#include "cpu_check.h"

#include <cpuid.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define BASELINE __attribute__((target("arch=x86-64")))

BASELINE const char *cpu_missing(uint32_t ecx)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} needed[] = {
	    {bit_SSE3, "SSE3"},	    {bit_SSSE3, "SSSE3"},   {bit_CMPXCHG16B, "CMPXCHG16B"},
	    {bit_SSE4_1, "SSE4.1"}, {bit_SSE4_2, "SSE4.2"}, {bit_POPCNT, "POPCNT"}};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!(ecx & needed[i].bit))
			return needed[i].name;
	return NULL;
}

BASELINE static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nobody is left to tell */
}

BASELINE static void check(void)
{
	uint32_t eax, ebx, ecx = 0, edx;
	const char *missing;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	missing = cpu_missing(ecx);
	if (!missing)
		return;
	say("ccn-forwarder: this CPU has no ");
	say(missing);
	say(" (x86-64-v2 is needed: run on a CPU made since 2009, or let the virtual machine see "
	    "its "
	    "host's)\n");
	_exit(1);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = check;
