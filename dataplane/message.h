/* SPDX-License-Identifier: Apache-2.0
 * What a message of the control socket may look like. In: a header. Out: whether its length is that
 * of what it says to carry.
 */
#ifndef CCN_MESSAGE_H
#define CCN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ccn_wire.h"

extern const uint16_t message_sizes[32]; /* of HELLO: of all structs of the contract */

/* Size of one record of this type; 0 if no record of a transaction has this type. */
size_t record_size(uint16_t type);
size_t request_size(uint16_t type); /* of what a request carries; of one without a body 0 */
bool message_length_is_right(const struct ccn_header *header);

#endif
