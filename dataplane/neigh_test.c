/* SPDX-License-Identifier: Apache-2.0
 *
 * Neighbours over simulated time: those that answer never expire, however many others do not; every
 * one is asked in turn; a MAC that is nobody's is not learned.
 */
#include "neigh.h"

#include <string.h>

#include "check.h"

#define SILENT 20000U
#define ANSWERING 500U
#define BUDGET 512U

static uint64_t now = 1;
static uint32_t asked[SILENT + ANSWERING];

static struct neigh_key key_of(uint32_t number)
{
	struct neigh_key key = {.role = 1, .family = 4};

	memcpy(key.ip, &number, 4);
	return key;
}

/* Every 41st answers at once. */
static bool answers(uint32_t number)
{
	return number % 41 == 0;
}

static struct {
	struct neigh_key key[BUDGET];
	unsigned count;
} heard;

static void ask(const struct neigh_key *key, const uint8_t *mac)
{
	uint32_t number;

	(void)mac;
	memcpy(&number, key->ip, 4);
	asked[number]++;
	if (answers(number))
		heard.key[heard.count++] = *key;
}

/* RFC 4861 section 7.2.5: an advertisement without the override flag tells who is not known, and does
 * not move who is. */
static void hints(void)
{
	static const uint8_t one[6] = {2, 0, 0, 0, 0, 1}, other[6] = {2, 0, 0, 0, 0, 2};
	const struct neigh_key key = {.role = 1, .family = 6, .ip = {0xfe, 0x80, [15] = 9}};
	struct neigh *n = neigh_hold(&key);
	uint64_t mac;

	CHECK(n);
	neigh_hint(&key, one, now);
	mac = neigh_mac(n);
	CHECK(mac != 0);
	neigh_hint(&key, other, now);
	CHECK(neigh_mac(n) == mac);
	n->unanswered = 2; /* being asked: its own word confirms it */
	neigh_hint(&key, other, now);
	CHECK(n->unanswered == 2);
	neigh_hint(&key, one, now);
	CHECK(n->unanswered == 0);
	n->unanswered = 4; /* silent: as if it were not known */
	neigh_hint(&key, other, now);
	CHECK(neigh_mac(n) != mac && n->unanswered == 0);
	neigh_learn(&key, one, now);
	CHECK(neigh_mac(n) == mac);
	neigh_release(n);
}

int main(void)
{
	static struct neigh *held[SILENT + ANSWERING];
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, none[6], group[6] = {1};

	for (uint32_t i = 0; i < SILENT + ANSWERING; i++) {
		struct neigh_key key = key_of(i);

		held[i] = neigh_hold(&key);
		CHECK(held[i] && neigh_mac(held[i]) == 0);
	}
	for (; now < 300000; now += 250) {
		heard.count = 0;
		neigh_tick(now, BUDGET, ask);
		for (unsigned i = 0; i < heard.count; i++)
			neigh_learn(&heard.key[i], mac, now);
		for (uint32_t i = 0; now > 60000 && i < SILENT + ANSWERING; i++)
			CHECK(!answers(i) == (neigh_mac(held[i]) == 0));
	}
	for (uint32_t i = 0; i < SILENT + ANSWERING; i++)
		CHECK(asked[i] > 4);

	struct neigh_key key = key_of(1);

	neigh_learn(&key, none, now);
	neigh_learn(&key, group, now);
	CHECK(neigh_mac(held[1]) == 0);
	neigh_learn(&key, mac, now);
	CHECK(neigh_mac(held[1]) != 0);
	hints();
	for (uint32_t i = 0; i < SILENT + ANSWERING; i++) {
		neigh_release(held[i]);
		if (i % 1000 == 0)
			neigh_tick(now += 250, 3, ask);
	}
	CHECK(!neigh_tick(now, BUDGET, ask));
	return 0;
}
