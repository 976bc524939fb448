/* SPDX-License-Identifier: Apache-2.0
 * Rule sets: compiling, sharing, matching, counting.
 */
#include "acl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <rte_acl.h>
#include <rte_byteorder.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>

#include "classify.h"

#define MEMORY (64U << 20) /* octets of all contexts together */
#define MOST_HEADERS 8	   /* IPv6 extension headers that are passed over */

/* What rte_acl says of a match: row + 1, rule << 16, and this bit. */
#define DENY (1U << 31)

/* As rte_acl reads it: one octet, then words. Addresses and ports in network order. */
struct key {
	uint8_t protocol, pad[3];
	union {
		struct {
			uint8_t source[4], destination[4];
			uint16_t source_port, destination_port;
		} v4;
		struct {
			uint8_t source[16], destination[16];
			uint16_t source_port, destination_port;
		} v6;
	};
};

#define FIELD(kind, octets, index, input, at)                                                      \
	{                                                                                          \
		.type = RTE_ACL_FIELD_TYPE_##kind, .size = octets, .field_index = index,           \
		.input_index = input, .offset = at                                                 \
	}
#define WORD(index) FIELD(MASK, 4, index, index, 4 * (index))

static const struct rte_acl_field_def fields4[] = {
    FIELD(BITMASK, 1, 0, 0, 0), WORD(1), WORD(2), FIELD(RANGE, 2, 3, 3, 12),
    FIELD(RANGE, 2, 4, 3, 14),
};
static const struct rte_acl_field_def fields6[] = {
    FIELD(BITMASK, 1, 0, 0, 0),
    WORD(1),
    WORD(2),
    WORD(3),
    WORD(4),
    WORD(5),
    WORD(6),
    WORD(7),
    WORD(8),
    FIELD(RANGE, 2, 9, 9, 36),
    FIELD(RANGE, 2, 10, 9, 38),
};

RTE_ACL_RULE_DEF(rule4, RTE_DIM(fields4));
RTE_ACL_RULE_DEF(rule6, RTE_DIM(fields6));

/* Control thread only. */
static struct {
	struct acl *all;
	size_t octets;
	uint64_t serial;
	unsigned workers;
} sets = {.workers = 1};

void acl_set_workers(unsigned workers)
{
	sets.workers = workers;
}

/* --- rows --- */

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static bool any_port(const uint16_t range[2])
{
	return range[0] == 0 && range[1] == UINT16_MAX;
}

static bool is_prefix(const uint8_t address[16], unsigned length, unsigned bits)
{
	if (length > bits)
		return false;
	for (unsigned bit = length; bit < 128; bit++)
		if (address[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

const char *acl_rule_fault(const struct ccn_acl_rule *rule)
{
	const unsigned bits = rule->family == 4 ? 32 : 128;

	if (rule->family != 4 && rule->family != 6)
		return "family is not 4 or 6";
	if (rule->action != CCN_ACL_PERMIT && rule->action != CCN_ACL_DENY)
		return "neither permits nor denies";
	if (rule->rule >= ACL_MAX_RULES)
		return "the number of its rule is too high";
	if (!is_prefix(rule->source, rule->source_length, bits) ||
	    !is_prefix(rule->destination, rule->destination_length, bits))
		return "not a prefix";
	for (unsigned i = 0; i < 2; i++) {
		const uint16_t *range = i ? rule->destination_port : rule->source_port;

		if (any_port(range))
			continue;
		if (range[0] == 0 || range[0] > range[1])
			return "not a range of ports";
		if (rule->any_protocol || !has_ports(rule->protocol))
			return "ports of a protocol that has none";
	}
	return NULL;
}

/* --- compiling --- */

static uint32_t address_field(const uint8_t *address, unsigned length, unsigned word,
			      uint32_t *bits)
{
	uint32_t value;

	memcpy(&value, address + 4 * word, 4);
	*bits = length <= 32 * word ? 0 : RTE_MIN(length - 32 * word, 32U);
	return rte_be_to_cpu_32(value);
}

static void to_rule(struct rte_acl_field *field, const struct ccn_acl_rule *row)
{
	const unsigned words = row->family == 4 ? 1 : 4;

	field[0].value.u8 = row->any_protocol ? 0 : row->protocol;
	field[0].mask_range.u8 = row->any_protocol ? 0 : UINT8_MAX;
	for (unsigned i = 0; i < words; i++) {
		struct rte_acl_field *source = &field[1 + i], *destination = source + words;

		source->value.u32 =
		    address_field(row->source, row->source_length, i, &source->mask_range.u32);
		destination->value.u32 = address_field(row->destination, row->destination_length, i,
						       &destination->mask_range.u32);
	}
	for (unsigned i = 0; i < 2; i++) {
		const uint16_t *range = i ? row->destination_port : row->source_port;

		field[1 + 2 * words + i].value.u16 = range[0];
		field[1 + 2 * words + i].mask_range.u16 = range[1];
	}
}

static size_t dpdk_memory(void)
{
	struct rte_malloc_socket_stats stats;
	size_t octets = 0;

	for (int socket = 0; socket < RTE_MAX_NUMA_NODES; socket++)
		if (rte_malloc_get_socket_stats(socket, &stats) == 0)
			octets += stats.heap_allocsz_bytes;
	return octets;
}

/* The rows of one family. -1: no memory. */
static int compile(struct acl *acl, unsigned v6, uint32_t count)
{
	struct rte_acl_config config = {.num_categories = 1,
					.num_fields = v6 ? RTE_DIM(fields6) : RTE_DIM(fields4)};
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = {.name = name,
				      .socket_id = SOCKET_ID_ANY,
				      .rule_size = RTE_ACL_RULE_SZ(config.num_fields),
				      .max_rule_num = count};
	const size_t before = dpdk_memory();
	size_t after;

	/* rte_acl gives back what has the same name */
	snprintf(name, sizeof(name), "ccn%llu", (unsigned long long)sets.serial++);
	memcpy(config.defs, v6 ? fields6 : fields4, v6 ? sizeof(fields6) : sizeof(fields4));
	acl->ctx[v6] = rte_acl_create(&param);
	if (!acl->ctx[v6])
		return -1;
	for (uint32_t i = 0; i < acl->row_count; i++) {
		struct rule6 rule; /* the larger of both */

		if ((acl->row[i].family == 6) != v6)
			continue;
		memset(&rule, 0, sizeof(rule));
		rule.data.category_mask = 1;
		rule.data.priority = (int32_t)(acl->row_count - i);
		rule.data.userdata = (i + 1) | (uint32_t)acl->row[i].rule << 16 |
				     (acl->row[i].action == CCN_ACL_DENY ? DENY : 0);
		to_rule(rule.field, &acl->row[i]);
		if (rte_acl_add_rules(acl->ctx[v6], (const void *)&rule, 1) < 0)
			return -1;
	}
	if (rte_acl_build(acl->ctx[v6], &config) < 0)
		return -1;
	after = dpdk_memory();
	acl->octets += after > before ? after - before : 0;
	return sets.octets + acl->octets > MEMORY ? -1 : 0;
}

static void release(struct acl *acl)
{
	if (acl->references > 1) {
		acl->references--;
		return;
	}
	for (struct acl **at = &sets.all; *at; at = &(*at)->next) {
		if (*at != acl)
			continue;
		*at = acl->next;
		sets.octets -= acl->octets;
		break;
	}
	rte_acl_free(acl->ctx[0]);
	rte_acl_free(acl->ctx[1]);
	free(acl);
}

static struct acl *find(const struct ccn_acl_rule *rows, uint32_t count, uint64_t hash)
{
	for (struct acl *acl = sets.all; acl; acl = acl->next)
		if (acl->hash == hash && acl->row_count == count &&
		    !memcmp(acl->row, rows, count * sizeof(*rows)))
			return acl;
	return NULL;
}

static struct acl *hold(const struct ccn_acl_rule *rows, uint32_t count, const char **fault,
			bool *memory)
{
	const uint64_t hash = (uint64_t)rte_hash_crc(rows, count * sizeof(*rows), 1) << 32 | count;
	struct acl *acl = find(rows, count, hash);
	uint32_t of_family[2] = {0, 0};

	*memory = false;
	if (acl) {
		acl->references++;
		*fault = NULL;
		return acl;
	}
	for (uint32_t i = 0; i < count; i++)
		of_family[rows[i].family == 6]++;
	*fault = "over 1024 rows of one IP version";
	if (of_family[0] > ACL_MAX_ROWS || of_family[1] > ACL_MAX_ROWS)
		return NULL;
	*memory = true;
	*fault = "no memory for the rules of ACLs; fewer or plainer rules, or a higher --memory";
	acl = calloc(1, sizeof(*acl) + count * sizeof(*rows));
	if (!acl)
		return NULL;
	acl->hash = hash;
	acl->references = 1;
	acl->row_count = count;
	memcpy(acl->row, rows, count * sizeof(*rows));
	memset(acl->first, 0xff, sizeof(acl->first));
	for (uint32_t i = count; i-- > 0;) {
		acl->rule_count = RTE_MAX(acl->rule_count, rows[i].rule + 1U);
		acl->first[rows[i].rule] = (uint16_t)i;
	}
	for (unsigned v6 = 0; v6 < 2; v6++) {
		if (of_family[v6] > 0 && compile(acl, v6, of_family[v6]) < 0) {
			release(acl);
			return NULL;
		}
	}
	acl->next = sets.all;
	sets.all = acl;
	sets.octets += acl->octets;
	*memory = false;
	*fault = NULL;
	return acl;
}

/* --- what a CCSI attaches --- */

struct ccsi_acl *ccsi_acl_make(const struct ccn_acl_rule *rows, uint32_t count, const char **fault,
			       bool *memory)
{
	struct acl *acl = hold(rows, count, fault, memory);
	struct ccsi_acl *made;
	size_t octets;

	if (!acl)
		return NULL;
	made = calloc(1, sizeof(*made) + (acl->rule_count + 1) * sizeof(*made->base));
	if (made) {
		made->acl = acl;
		made->stride = RTE_ALIGN(acl->rule_count + 1, RTE_CACHE_LINE_SIZE / 8);
		octets = (size_t)made->stride * sets.workers * sizeof(*made->hits);
		made->hits = aligned_alloc(RTE_CACHE_LINE_SIZE, octets);
		if (made->hits) {
			memset(made->hits, 0, octets);
			return made;
		}
	}
	free(made);
	release(acl);
	*memory = true;
	*fault = "out of memory; nothing was changed";
	return NULL;
}

void ccsi_acl_free(struct ccsi_acl *acl)
{
	if (!acl)
		return;
	release(acl->acl);
	free(acl->hits);
	free(acl);
}

const struct ccn_acl_rule *acl_rule(const struct acl *acl, uint32_t rule)
{
	const unsigned row = rule < ACL_MAX_RULES ? acl->first[rule] : ACL_NO_ROW;

	return row == ACL_NO_ROW ? NULL : &acl->row[row];
}

uint64_t ccsi_acl_hits(const struct ccsi_acl *acl, uint32_t rule)
{
	uint64_t hits = acl->base[rule];

	for (unsigned i = 0; i < sets.workers; i++)
		hits += __atomic_load_n(&acl->hits[i * acl->stride + rule], __ATOMIC_RELAXED);
	return hits;
}

void ccsi_acl_take_over(struct ccsi_acl *acl, const struct ccsi_acl *old)
{
	if (!acl || !old)
		return;
	if (acl->acl == old->acl) {
		for (uint32_t i = 0; i <= old->acl->rule_count; i++)
			acl->base[i] += ccsi_acl_hits(old, i);
		return;
	}
	for (uint32_t i = 0; i < old->acl->rule_count; i++) {
		const struct ccn_acl_rule *was = acl_rule(old->acl, i), *is;

		for (uint32_t j = 0; was && j < acl->acl->rule_count; j++) {
			is = acl_rule(acl->acl, j);
			if (is && is->action == was->action &&
			    !memcmp(is->name, was->name, sizeof(is->name)))
				acl->base[j] += ccsi_acl_hits(old, i);
		}
	}
	acl->base[acl->acl->rule_count] += ccsi_acl_hits(old, old->acl->rule_count);
}

/* --- packets --- */

/* The ports, where the protocol has them. False: they should be there and are not. */
static bool read_ports(uint8_t protocol, const uint8_t *at, size_t room, uint16_t ports[2])
{
	if (!has_ports(protocol))
		return true;
	if (room < 4)
		return false;
	memcpy(ports, at, 4);
	return true;
}

static bool read_key4(struct key *key, const struct packet *packet)
{
	const uint8_t *ip = packet->ip;
	const size_t header = (ip[0] & 15) * 4U;
	uint16_t ports[2] = {0, 0};

	if ((ip[6] & 0x1f) == 0 && ip[7] == 0 &&
	    !read_ports(ip[9], ip + header, packet->length - header, ports))
		return false;
	key->protocol = ip[9];
	memcpy(key->v4.source, ip + 12, 8);
	key->v4.source_port = ports[0];
	key->v4.destination_port = ports[1];
	return true;
}

static bool read_key6(struct key *key, const struct packet *packet)
{
	const uint8_t *ip = packet->ip, *end = ip + packet->length, *at = ip + 40;
	uint16_t ports[2] = {0, 0};
	uint8_t protocol = ip[6];
	bool later = false; /* a fragment beyond the first: what follows is anything */

	for (unsigned i = 0; !later; i++) {
		size_t length;

		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING &&
		    protocol != IPPROTO_DSTOPTS && protocol != IPPROTO_FRAGMENT &&
		    protocol != IPPROTO_AH)
			break;
		if (i == MOST_HEADERS || end - at < 8)
			return false;
		length = protocol == IPPROTO_FRAGMENT ? 8
			 : protocol == IPPROTO_AH     ? (at[1] + 2U) * 4
						      : (at[1] + 1U) * 8;
		later = protocol == IPPROTO_FRAGMENT && ((at[2] << 8 | at[3]) & 0xfff8);
		if ((size_t)(end - at) < length)
			return false;
		protocol = at[0];
		at += length;
	}
	if (!later && !read_ports(protocol, at, (size_t)(end - at), ports))
		return false;
	key->protocol = protocol;
	memcpy(key->v6.source, ip + 8, 32);
	key->v6.source_port = ports[0];
	key->v6.destination_port = ports[1];
	return true;
}

void acl_judge(struct ccsi_acl *const *acls, const struct packet *const *packets, unsigned count,
	       unsigned worker, struct acl_verdict *verdicts)
{
	struct key keys[ACL_BURST];
	uint64_t left = 0;

	for (unsigned i = 0; i < count; i++) {
		bool v6 = packets[i]->family == 6;

		verdicts[i] = (struct acl_verdict){.row = UINT32_MAX, .deny = true};
		verdicts[i].rule = acls[i]->acl->rule_count;
		if (acls[i]->acl->ctx[v6] &&
		    (v6 ? read_key6(&keys[i], packets[i]) : read_key4(&keys[i], packets[i])))
			left |= 1ULL << i;
	}
	/* those of one rule set together */
	while (left) {
		const unsigned first = (unsigned)__builtin_ctzll(left);
		const struct acl *acl = acls[first]->acl;
		const uint8_t family = packets[first]->family;
		const uint8_t *data[ACL_BURST];
		uint32_t result[ACL_BURST], n = 0;
		uint8_t of[ACL_BURST];

		for (uint64_t rest = left; rest; rest &= rest - 1) {
			unsigned i = (unsigned)__builtin_ctzll(rest);

			if (acls[i]->acl != acl || packets[i]->family != family)
				continue;
			data[n] = (const uint8_t *)&keys[i];
			of[n++] = (uint8_t)i;
			left &= ~(1ULL << i);
		}
		if (rte_acl_classify(acl->ctx[family == 6], data, result, n, 1) != 0)
			continue;
		for (uint32_t i = 0; i < n; i++)
			if (result[i] != 0)
				verdicts[of[i]] =
				    (struct acl_verdict){.row = (result[i] & UINT16_MAX) - 1,
							 .rule = result[i] >> 16 & 0x7fff,
							 .deny = result[i] & DENY};
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t *hits = &acls[i]->hits[worker * acls[i]->stride + verdicts[i].rule];

		__atomic_store_n(hits, *hits + 1, __ATOMIC_RELAXED);
	}
}
