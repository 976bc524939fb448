/* SPDX-License-Identifier: Apache-2.0
 * A short queue of lists, each with the token of its grace period. Bounded: when it is full, or
 * what waits is much, the control thread waits for the readers after all.
 */
#include "reclaim.h"

#include "fib.h"

#define WAITING 64U
#define TABLES_WAITING 131072U /* of some 300 octets each */

static struct {
	struct lpm_list list;
	uint64_t token;
} queue[WAITING];
static unsigned first, count;
static size_t tables;

static void free_first(void)
{
	tables -= queue[first].list.count;
	lpm_drop(&queue[first].list);
	first = (first + 1) % WAITING;
	count--;
}

void reclaim_wait(void)
{
	const unsigned last = (first + count - 1) % WAITING;

	if (count > 0 && rte_rcu_qsbr_check(fib_qsbr, queue[last].token, false) != 1)
		fib_wait_for_readers();
}

void reclaim_all(void)
{
	if (count > 0)
		fib_wait_for_readers();
	while (count > 0)
		free_first();
}

void reclaim_some(void)
{
	while (count > 0 && rte_rcu_qsbr_check(fib_qsbr, queue[first].token, false) == 1)
		free_first();
}

void reclaim_later(struct lpm_list *stale)
{
	reclaim_some();
	if (stale->count == 0) {
		lpm_drop(stale);
		return;
	}
	if (count == WAITING || tables + stale->count > TABLES_WAITING)
		reclaim_all();
	const unsigned at = (first + count++) % WAITING;

	queue[at].list = *stale;
	queue[at].token = rte_rcu_qsbr_start(fib_qsbr);
	tables += stale->count;
	*stale = (struct lpm_list){0};
	if (tables > TABLES_WAITING)
		reclaim_all();
}
