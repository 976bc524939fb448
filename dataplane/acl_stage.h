/* SPDX-License-Identifier: Apache-2.0
 *
 * The access lists of a transaction: rows grouped by CCSI, merged with what each holds, compiled
 * beside what is in force, and published by one pointer per CCSI.
 */
#ifndef CCN_ACL_STAGE_H
#define CCN_ACL_STAGE_H

#include "fib.h"
#include "route_stage.h"

struct acl_op {
	const struct ccn_acl_rule *rule;
	uint32_t index; /* within its message */
	bool remove;
};

struct acl_stage {
	struct acl_op *op;
	size_t count;
};

int acl_stage_init(struct acl_stage *stage, size_t rules); /* -1: out of memory */
void acl_stage_add(struct acl_stage *stage, const struct ccn_acl_rule *rule, bool remove,
		   uint32_t index);

/* Compiles. NULL, or what is wrong and with which record (UINT32_MAX: no memory). */
const char *acl_stage_build(struct acl_stage *stage, struct route_stage *touched, struct fib *fib,
			    uint32_t *index);
/* Of tables that stay, before their routes; of tables that go, after them: what is routed is
 * judged. */
void acl_stage_publish(const struct route_stage *touched, struct fib *fib, bool stay);
/* Frees what was replaced, whose counts go on in what replaced it, or (not published) what was
 * staged. */
void acl_stage_clean(struct acl_stage *stage, const struct route_stage *touched, struct fib *fib,
		     bool published);

/* Counts go on from one fib to the next. When nobody reads `old` any more. */
void acls_take_over(struct fib *fib, const struct fib *old);

#endif
