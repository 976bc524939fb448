/* SPDX-License-Identifier: Apache-2.0
 * Groups: shares near the weights, no flow moved but the gone member's, nothing but keys counts.
 */
#include "group.h"

#include <string.h>

#include "check.h"

static struct ccn_next_hop_group group_of(uint64_t *state, unsigned count, unsigned heaviest)
{
	struct ccn_next_hop_group group = {.slot = 1, .count = (uint8_t)count};

	for (unsigned i = 0; i < count; i++) {
		group.member[i].key = (uint64_t)random_below(state, UINT32_MAX) << 32 |
				      random_below(state, UINT32_MAX);
		group.member[i].slot = 100 + i;
		group.member[i].weight = (uint8_t)(1 + random_below(state, heaviest));
	}
	return group;
}

static void remove_member(struct ccn_next_hop_group *group, unsigned gone)
{
	for (unsigned i = gone; i + 1 < group->count; i++)
		group->member[i] = group->member[i + 1];
	group->count--;
}

static void check_shares(const struct ccn_next_hop_group *group, double tolerance)
{
	uint8_t bucket[GROUP_BUCKETS];
	unsigned held[CCN_MAX_MEMBERS] = {0}, weights = 0;

	group_fill(group, bucket);
	for (unsigned b = 0; b < GROUP_BUCKETS; b++)
		held[bucket[b]]++;
	for (unsigned i = 0; i < group->count; i++)
		weights += group->member[i].weight;
	for (unsigned i = 0; i < group->count; i++) {
		double wanted = (double)GROUP_BUCKETS * group->member[i].weight / weights;

		CHECK(held[i] >= wanted * (1 - tolerance) && held[i] <= wanted * (1 + tolerance));
	}
}

static void shares_follow_weights(uint64_t *state)
{
	for (int round = 0; round < 500; round++) {
		struct ccn_next_hop_group group = group_of(state, 2, 1);

		check_shares(&group, 0.12);
		group.member[1].weight = 3;
		check_shares(&group, 0.20);
		group.member[0].weight = group.member[1].weight = 255;
		check_shares(&group, 0.12);
		group = group_of(state, 4, 1);
		check_shares(&group, 0.25);
	}
}

/* Over many groups every size and mix of weights is right on the average. */
static void shares_are_fair(uint64_t *state)
{
	for (unsigned count = 2; count <= CCN_MAX_MEMBERS; count++) {
		struct ccn_next_hop_group group = group_of(state, count, 9);
		double held[CCN_MAX_MEMBERS] = {0}, weights = 0;
		const int rounds = 200;

		for (unsigned i = 0; i < count; i++)
			weights += group.member[i].weight;
		for (int round = 0; round < rounds; round++) {
			uint8_t bucket[GROUP_BUCKETS];

			for (unsigned i = 0; i < count; i++)
				group.member[i].key += 0x1234567 + i;
			group_fill(&group, bucket);
			for (unsigned b = 0; b < GROUP_BUCKETS; b++)
				held[bucket[b]]++;
		}
		for (unsigned i = 0; i < count; i++) {
			double wanted =
			    rounds * (double)GROUP_BUCKETS * group.member[i].weight / weights;

			CHECK(held[i] > wanted * 0.9 && held[i] < wanted * 1.1);
		}
	}
}

/* Removing a member moves its own buckets alone, and the order of the rest does not count. */
static void others_stay(uint64_t *state)
{
	for (int round = 0; round < 500; round++) {
		unsigned count = 3 + random_below(state, CCN_MAX_MEMBERS - 2);
		struct ccn_next_hop_group before = group_of(state, count, 255), after = before;
		unsigned gone = random_below(state, count), last = count - 2, moved = 0;
		uint8_t old[GROUP_BUCKETS], new[GROUP_BUCKETS];

		remove_member(&after, gone);
		const struct ccn_group_member first = after.member[0];

		after.member[0] = after.member[last];
		after.member[last] = first;
		for (unsigned i = 0; i < after.count; i++)
			after.member[i].slot += 7; /* slots are no part of it */
		group_fill(&before, old);
		group_fill(&after, new);
		for (unsigned b = 0; b < GROUP_BUCKETS; b++) {
			if (old[b] == gone)
				moved++;
			else
				CHECK(before.member[old[b]].key == after.member[new[b]].key);
		}
		CHECK(moved < GROUP_BUCKETS);
	}
}

static void faults_are_named(uint64_t *state)
{
	struct ccn_next_hop_group good = group_of(state, 2, 9), bad;

	CHECK(group_fault(&good) == NULL);
	for (unsigned fault = 0; fault < 5; fault++) {
		bad = good;
		if (fault == 0)
			bad.count = 1;
		if (fault == 1)
			bad.count = CCN_MAX_MEMBERS + 1;
		if (fault == 2)
			bad.member[1].weight = 0;
		if (fault == 3)
			bad.member[1].slot = 1 << 24;
		if (fault == 4)
			bad.member[1].slot = bad.member[0].slot;
		CHECK(group_fault(&bad) != NULL);
	}
}

int main(void)
{
	uint64_t state = 2026;

	shares_follow_weights(&state);
	shares_are_fair(&state);
	others_stay(&state);
	faults_are_named(&state);
	return 0;
}
