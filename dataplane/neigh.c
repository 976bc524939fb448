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

static struct {
	pthread_mutex_t lock;
	struct neigh *bucket[BUCKETS];
	struct neigh *all;
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
		free(neigh);
	}
	pthread_mutex_unlock(&table.lock);
}

void neigh_learn(const struct neigh_key *key, const uint8_t mac[6], uint64_t now)
{
	pthread_mutex_lock(&table.lock);
	struct neigh *n = find(key);

	if (n && !table.fixed) {
		__atomic_store_n(&n->mac, packed(mac), __ATOMIC_RELAXED);
		n->heard = now;
		n->unanswered = 0;
	}
	pthread_mutex_unlock(&table.lock);
}

static bool due(const struct neigh *n, uint64_t now)
{
	if (n->asked == 0)
		return true;
	if (n->mac != 0 && now - n->heard < REFRESH_MS)
		return false;
	return now - n->asked >= (n->unanswered < 4    ? QUICK_RETRY_MS
				  : n->unanswered < 15 ? RETRY_MS
						       : SLOW_RETRY_MS);
}

bool neigh_tick(uint64_t now, unsigned budget,
		void (*ask)(const struct neigh_key *key, const uint8_t *mac))
{
	bool unresolved = false;

	if (table.fixed)
		return false;
	pthread_mutex_lock(&table.lock);
	for (struct neigh *n = table.all; n; n = n->all_next) {
		if (n->mac != 0 && now - n->heard >= EXPIRE_MS)
			__atomic_store_n(&n->mac, 0, __ATOMIC_RELAXED);
		unresolved |= n->mac == 0;
		if (budget == 0 || !due(n, now))
			continue;
		budget--;
		n->asked = now;
		n->unanswered++;
		/* by unicast first; a neighbour that changed its MAC answers a broadcast only */
		ask(&n->key, n->mac != 0 && n->unanswered <= 2 ? (const uint8_t *)&n->mac : NULL);
	}
	pthread_mutex_unlock(&table.lock);
	return unresolved;
}
