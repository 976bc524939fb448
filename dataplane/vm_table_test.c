/* SPDX-License-Identifier: Apache-2.0
 * The VM table against a plain array, and beside a reader that must never see a mixed row.
 */
#include "vm_table.h"

#include <pthread.h>
#include <string.h>

#include "check.h"

#define KEYS 500

struct model {
	uint8_t ip[16];
	struct vm_value value;
	bool present;
};

static void make_key(uint64_t *state, int family, struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->value.vni = 1 + random_below(state, 3);
	for (int i = family == 4 ? 2 : 13; i < (family == 4 ? 4 : 16); i++)
		m->ip[i] = (uint8_t)random_below(state, 32);
}

static void look_up(const struct vm_table *table, int family, const struct model *models,
		    size_t count)
{
	for (size_t first = 0; first < count; first += 64) {
		unsigned n = count - first < 64 ? (unsigned)(count - first) : 64;
		struct vm_value values[64];
		uint64_t keys[64], found;
		uint32_t vnis[64];
		uint8_t ips[64][16];

		for (unsigned i = 0; i < n; i++) {
			uint32_t address;

			memcpy(&address, models[first + i].ip, 4);
			keys[i] = vm_key4(models[first + i].value.vni, address);
			vnis[i] = models[first + i].value.vni;
			memcpy(ips[i], models[first + i].ip, 16);
		}
		found = family == 4
			    ? vm_lookup_burst4(table, keys, values, n)
			    : vm_lookup_burst6(table, vnis, (const uint8_t(*)[16])ips, values, n);
		for (unsigned i = 0; i < n; i++) {
			const struct model *m = &models[first + i];

			CHECK((found >> i & 1) == m->present);
			if (m->present)
				CHECK(!memcmp(&values[i], &m->value, sizeof(m->value)));
		}
	}
}

static void count_visit(void *context, int family, const uint8_t *ip, const struct vm_value *value)
{
	(void)family;
	(void)ip;
	(void)value;
	++*(size_t *)context;
}

static void against_model(int family)
{
	static struct model models[KEYS];
	struct vm_table table;
	uint64_t state = (uint64_t)family;
	size_t live = 0, walked = 0;

	CHECK(vm_table_init(&table) == 0);
	for (size_t i = 0; i < KEYS; i++) {
	again:
		make_key(&state, family, &models[i]);
		for (size_t j = 0; j < i; j++)
			if (models[j].value.vni == models[i].value.vni &&
			    !memcmp(models[j].ip, models[i].ip, 16))
				goto again;
	}
	for (int step = 0; step < 60000; step++) {
		struct model *m = &models[random_below(&state, KEYS)];

		const struct vm_value held = m->value;
		struct vm_value before;

		if (random_below(&state, 2)) {
			struct vm_array *retired;

			vm_prefetch(&table, family, m->value.vni, m->ip);
			m->value.adjacency = (uint32_t)random_u64(&state);
			m->value.mac[5] = (uint8_t)step;
			CHECK(vm_reserve(&table, family, 1, &retired) == 0);
			vm_array_free(retired);
			CHECK(vm_put(&table, family, m->ip, &m->value, &before) == m->present);
			CHECK(!m->present || !memcmp(&before, &held, sizeof(held)));
			live += !m->present;
			m->present = true;
		} else {
			CHECK(vm_delete(&table, family, m->value.vni, m->ip, &before) ==
			      m->present);
			CHECK(!m->present || !memcmp(&before, &held, sizeof(held)));
			live -= m->present;
			m->present = false;
		}
		CHECK(vm_count(&table, family) == live);
		if (step % 500 == 0)
			look_up(&table, family, models, KEYS);
	}
	vm_walk(&table, family, count_visit, &walked);
	CHECK(walked == live);
	vm_table_free(&table);
}

/* --- one writer, one reader --- */

static struct vm_table shared;
static bool stop;

static void *read_on(void *unused)
{
	uint64_t state = 99;

	(void)unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct vm_value values[64];
		uint64_t keys[64], found;

		for (int i = 0; i < 64; i++)
			keys[i] = vm_key4(1, random_below(&state, 64));
		found = vm_lookup_burst4(&shared, keys, values, 64);
		for (int i = 0; i < 64; i++) {
			uint32_t mac;

			if (!(found >> i & 1))
				continue;
			memcpy(&mac, values[i].mac, 4);
			CHECK(values[i].vni == 1);
			CHECK(mac == values[i].adjacency);
			CHECK(values[i].adjacency % 64 == (uint32_t)keys[i]);
		}
	}
	return NULL;
}

static void beside_a_reader(void)
{
	struct vm_array *retired[2000];
	unsigned retired_count = 0;
	uint64_t state = 7;
	pthread_t reader;

	CHECK(vm_table_init(&shared) == 0);
	CHECK(pthread_create(&reader, NULL, read_on, NULL) == 0);
	for (uint32_t step = 0; step < 60000; step++) {
		uint32_t key = random_below(&state, 64);
		struct vm_value value = {.vni = 1, .adjacency = step * 64 + key};
		struct vm_array *old;

		memcpy(value.mac, &value.adjacency, 4);
		if (random_below(&state, 3) == 0) {
			vm_delete(&shared, 4, 1, (const uint8_t *)&key, NULL);
			continue;
		}
		CHECK(vm_reserve(&shared, 4, 1, &old) == 0);
		if (old) { /* the reader may still be in it */
			CHECK(retired_count < 2000);
			retired[retired_count++] = old;
		}
		vm_put(&shared, 4, (const uint8_t *)&key, &value, NULL);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	while (retired_count > 0)
		vm_array_free(retired[--retired_count]);
	vm_table_free(&shared);
}

int main(void)
{
	against_model(4);
	against_model(6);
	beside_a_reader();
	return 0;
}
