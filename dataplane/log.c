/* SPDX-License-Identifier: Apache-2.0
 * Writes log lines.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(const char *format, ...)
{
	char line[512];
	va_list arguments;
	int prefix = snprintf(line, sizeof(line), "ccn-forwarder: "), length;

	va_start(arguments, format);
	length = vsnprintf(line + prefix, sizeof(line) - (size_t)prefix - 1, format, arguments);
	va_end(arguments);
	length += prefix;
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return; /* nobody is left to tell */
}
