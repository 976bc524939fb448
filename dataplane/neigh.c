/* SPDX-License-Identifier: Apache-2.0
 * A chained hash table under one lock; the packet loop holds pointers and reads only `mac`.
 */
#include "neigh.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384U
#define QUICK_RETRY_MS 200U /* the first four requests: links may just be coming up */
#define RETRY_MS 1000U
#define SLOW_RETRY_MS 5000U /* after fifteen requests without an answer */
#define REFRESH_MS 20000U
#define EXPIRE_MS 60000U
#define WATCH_MS 1000U /* REFRESH_MS of those that are watched */
#define SILENT 4U      /* requests without an answer */

static struct {
	pthread_mutex_t lock;
	struct neigh *bucket[BUCKETS];
	struct neigh *all;
	struct neigh *next[2]; /* where to go on asking: the unknown, the known; NULL: at `all` */
	bool fixed;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

void neigh_init(bool fixed)
{
	table.fixed = fixed;
}

static struct neigh **bucket_of(const struct neigh_key *key)
{
	uint32_t hash = 2166136261U;

	for (unsigned i = 0; i < sizeof(*key); i++)
		hash = (hash ^ ((const uint8_t *)key)[i]) * 16777619U;
	return &table.bucket[hash % BUCKETS];
}

static struct neigh *find(const struct neigh_key *key)
{
	for (struct neigh *n = *bucket_of(key); n; n = n->next)
		if (!memcmp(&n->key, key, sizeof(*key)))
			return n;
	return NULL;
}

static uint64_t packed(const uint8_t mac[6])
{
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	return value | NEIGH_VALID;
}

struct neigh *neigh_hold(const struct neigh_key *key)
{
	pthread_mutex_lock(&table.lock);
	struct neigh *n = find(key);

	if (!n && (n = calloc(1, sizeof(*n)))) {
		struct neigh **bucket = bucket_of(key);

		n->key = *key;
		if (table.fixed) {
			uint8_t mac[6] = {0x02, 0x00};

			memcpy(mac + 2, key->ip + (key->family == 4 ? 0 : 12), 4);
			n->mac = packed(mac);
		}
		n->next = *bucket;
		*bucket = n;
		n->all_next = table.all;
		n->all_link = &table.all;
		if (table.all)
			table.all->all_link = &n->all_next;
		table.all = n;
	}
	if (n)
		n->references++;
	pthread_mutex_unlock(&table.lock);
	return n;
}

void neigh_release(struct neigh *neigh)
{
	if (!neigh)
		return;
	pthread_mutex_lock(&table.lock);
	if (--neigh->references == 0) {
		struct neigh **link = bucket_of(&neigh->key);

		while (*link != neigh)
			link = &(*link)->next;
		*link = neigh->next;
		*neigh->all_link = neigh->all_next;
		if (neigh->all_next)
			neigh->all_next->all_link = neigh->all_link;
		for (unsigned i = 0; i < 2; i++)
			if (table.next[i] == neigh)
				table.next[i] = neigh->all_next;
		free(neigh);
	}
	pthread_mutex_unlock(&table.lock);
}

void neigh_watch(struct neigh *neigh)
{
	pthread_mutex_lock(&table.lock);
	neigh->watched = true;
	pthread_mutex_unlock(&table.lock);
}

bool neigh_is_silent(const struct neigh *neigh)
{
	return __atomic_load_n(&neigh->unanswered, __ATOMIC_RELAXED) >= SILENT;
}

static void learn(const struct neigh_key *key, const uint8_t mac[6], uint64_t now, bool override)
{
	static const uint8_t none[6];

	if ((mac[0] & 1) || !memcmp(mac, none, 6))
		return; /* nobody's: frames to it would reach all or none */
	pthread_mutex_lock(&table.lock);
	struct neigh *n = find(key);

	if (n && !table.fixed &&
	    (override || n->mac == 0 || n->mac == packed(mac) || n->unanswered >= SILENT)) {
		__atomic_store_n(&n->mac, packed(mac), __ATOMIC_RELAXED);
		n->heard = now;
		__atomic_store_n(&n->unanswered, 0, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&table.lock);
}

void neigh_learn(const struct neigh_key *key, const uint8_t mac[6], uint64_t now)
{
	learn(key, mac, now, true);
}

void neigh_hint(const struct neigh_key *key, const uint8_t mac[6], uint64_t now)
{
	learn(key, mac, now, false);
}

static bool due(const struct neigh *n, uint64_t now)
{
	if (n->asked == 0)
		return true;
	if (n->mac != 0 && now - n->heard < (n->watched ? WATCH_MS : REFRESH_MS))
		return false;
	return now - n->asked >= (n->unanswered < SILENT	     ? QUICK_RETRY_MS
				  : n->unanswered < 15 || n->watched ? RETRY_MS
								     : SLOW_RETRY_MS);
}

/* Asks those that are due and known (or unknown), going on where the budget ended last time. */
static unsigned ask_due(uint64_t now, bool known, unsigned budget, neigh_ask_fn ask)
{
	struct neigh *first = table.next[known] ? table.next[known] : table.all, *n = first;

	while (n && budget > 0) {
		if ((n->mac != 0) == known && due(n, now)) {
			budget--;
			n->asked = now;
			__atomic_store_n(&n->unanswered, n->unanswered + 1, __ATOMIC_RELAXED);
			/* by unicast first; who changed its MAC answers a broadcast only */
			ask(&n->key, known && n->unanswered <= 2 ? (const uint8_t *)&n->mac : NULL);
		}
		n = n->all_next ? n->all_next : table.all;
		if (n == first)
			break;
	}
	table.next[known] = n;
	return budget;
}

bool neigh_tick(uint64_t now, unsigned budget, neigh_ask_fn ask)
{
	bool unresolved = false;

	if (table.fixed)
		return false;
	pthread_mutex_lock(&table.lock);
	for (struct neigh *n = table.all; n; n = n->all_next) {
		if (n->mac != 0 && now - n->heard >= EXPIRE_MS)
			__atomic_store_n(&n->mac, 0, __ATOMIC_RELAXED);
		unresolved |= n->mac == 0;
	}
	/* whom packets go to first: however many do not answer, they must not expire */
	budget = ask_due(now, true, budget, ask);
	ask_due(now, false, budget, ask);
	pthread_mutex_unlock(&table.lock);
	return unresolved;
}
