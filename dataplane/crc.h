/* SPDX-License-Identifier: Apache-2.0
 * The CRC-32 of a transaction, as zlib has it.
 */
#ifndef CCN_CRC_H
#define CCN_CRC_H

#include <stddef.h>
#include <stdint.h>

/* One thread. Without memory 0, so that the transaction is refused. */
uint32_t crc_of(const void *data, size_t length);

#endif
