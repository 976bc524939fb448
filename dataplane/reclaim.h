/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables that were replaced and that readers may still be in: freed when every reader has been
 * elsewhere, without anybody waiting for that. Control thread only.
 */
#ifndef CCN_RECLAIM_H
#define CCN_RECLAIM_H

#include "lpm.h"

/* Takes the list over, and frees what it can. */
void reclaim_later(struct lpm_list *stale);
/* Frees what earlier calls have left, as far as readers are done with it. */
void reclaim_some(void);
/* Until no reader is in what waits; frees nothing. */
void reclaim_wait(void);
/* Waits for the readers and frees everything. */
void reclaim_all(void);

#endif
