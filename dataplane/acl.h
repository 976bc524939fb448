/* SPDX-License-Identifier: Apache-2.0
 *
 * Access lists: rows of a CCSI come in, a compiled rule set (rte_acl) and a verdict per packet go
 * out. The first row that matches decides. Rule sets are immutable and shared by all CCSIs whose
 * rows are the same, in this generation and the one before; counters are each CCSI's own.
 *
 * What is read of a packet: addresses, protocol behind IPv6 extension headers, ports of TCP, UDP
 * and SCTP. A fragment beyond the first has no ports, and is matched by rows that name none. A
 * packet whose headers cannot be read, or that no row matches, is denied.
 */
#ifndef CCN_ACL_H
#define CCN_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ccn_wire.h"

#define ACL_MAX_ROWS 1024  /* of one family in one rule set */
#define ACL_MAX_RULES 1024 /* that are counted apart */
#define ACL_NO_ROW UINT16_MAX
#define ACL_BURST 64

struct packet;
struct rte_acl_ctx;

/* Its rows name no CCSI: `ccsi` is zero in all of them. */
struct acl {
	uint64_t hash;
	uint32_t references;
	uint32_t row_count, rule_count;
	size_t octets;		    /* of the contexts */
	struct rte_acl_ctx *ctx[2]; /* IPv4, IPv6; NULL: no row */
	struct acl *next;
	uint16_t first[ACL_MAX_RULES]; /* row of each rule, or ACL_NO_ROW */
	struct ccn_acl_rule row[];
};

/* What a CCSI attaches, with its own counters: of each rule, then of what no rule matched. */
struct ccsi_acl {
	struct acl *acl;
	uint32_t stride; /* counters of a worker */
	uint64_t *hits;	 /* [worker][stride], whole cache lines; each worker writes its own */
	uint64_t base[]; /* what was counted before the last change; control thread */
};

/* Verdict of one packet. */
struct acl_verdict {
	uint32_t row;  /* that matched; UINT32_MAX: none */
	uint32_t rule; /* that was counted */
	bool deny;
};

/* How many workers count. Before the first commit; 1 if never called. */
void acl_set_workers(unsigned workers);

/* NULL: fields are in range. */
const char *acl_rule_fault(const struct ccn_acl_rule *rule);

/* For these rows, in order; one that exists is shared. NULL: `fault` says why (else it is NULL),
 * `memory` whether for lack of memory. */
struct ccsi_acl *ccsi_acl_make(const struct ccn_acl_rule *rows, uint32_t count, const char **fault,
			       bool *memory);
void ccsi_acl_free(struct ccsi_acl *acl); /* after a grace period */
/* Rules that keep their name and action keep their counts. When nobody counts in `old` any more. */
void ccsi_acl_take_over(struct ccsi_acl *acl, const struct ccsi_acl *old);
/* What rule `rule` (of rule_count: the last is "no rule matched") has counted. */
uint64_t ccsi_acl_hits(const struct ccsi_acl *acl, uint32_t rule);
/* A row of this rule, for its name and action; NULL: there is none. */
const struct ccn_acl_rule *acl_rule(const struct acl *acl, uint32_t rule);

/* Up to ACL_BURST packets, each with what its CCSI attaches. Counts each for `worker`. */
void acl_judge(struct ccsi_acl *const *acls, const struct packet *const *packets, unsigned count,
	       unsigned worker, struct acl_verdict *verdicts);

#endif
