/*
 * operation.c
 *	  One operation on one key: what the engine does, and what it should.
 */
#include "operation.h"

#include "check.h"

const char *const sm_op_names[OP_KINDS] = {"get",
										   "contains",
										   "put",
										   "get_or_put",
										   "swap",
										   "compare_and_swap",
										   "delete",
										   "get_and_delete",
										   "compare_and_delete",
										   "update",
										   "replace",
										   "compare_pair_and_swap",
										   "compare_pair_and_delete",
										   "clear",
										   "count",
										   "reclaim",
										   "range",
										   "range_ordered",
										   "set_ordered",
										   "snapshot"};

bool
sm_bytes_are(sm_bytes a, const void *bytes, size_t len)
{
	return a.len == len && (len == 0 || memcmp(a.data, bytes, len) == 0);
}

static int
update(void *arg, const void *old, size_t old_len, void *new_value)
{
	sm_updater *u = arg;

	u->calls++;
	u->old_given = old != NULL;
	u->old_len = old_len;
	if (old != NULL)
		memcpy(u->old, old, old_len);
	if (u->answer > 0)
		memcpy(new_value, u->bytes, (size_t) u->answer);
	return u->answer;
}

sm_result
sm_operation_execute(sm_operation *op, sm_map *map, void *out)
{
	sm_bytes key = op->key;
	sm_buffer buffer = {.data = out, .size = op->room};
	sm_result answer = {.bytes = out};

	switch (op->kind)
	{
		case OP_GET:
			sm_prefetch(map, &key, 1);
			answer.status = sm_get(map, key, &buffer);
			break;
		case OP_CONTAINS:
			answer.status = sm_contains(map, key);
			break;
		case OP_PUT:
			answer.status = sm_put(map, key, op->value, op->expires);
			break;
		case OP_GET_OR_PUT:
			answer.status = sm_get_or_put(map, key, op->value, op->expires, &buffer);
			break;
		case OP_SWAP:
			answer.status = sm_swap(map, key, op->value, op->expires, &buffer);
			break;
		case OP_COMPARE_AND_SWAP:
			answer.status =
				sm_compare_and_swap(map, key, op->expected, op->value, op->expires);
			break;
		case OP_DELETE:
			answer.status = sm_delete(map, key);
			break;
		case OP_GET_AND_DELETE:
			answer.status = sm_get_and_delete(map, key, &buffer);
			break;
		case OP_COMPARE_AND_DELETE:
			answer.status = sm_compare_and_delete(map, key, op->expected);
			break;
		case OP_UPDATE:
			answer.status = sm_update(map, key, update, &op->updater, SM_NEVER);
			break;
		case OP_REPLACE:
			answer.status = sm_replace(map, key, op->value, op->expires);
			break;
		case OP_COMPARE_PAIR_AND_SWAP:
			answer.status =
				sm_compare_pair_and_swap(map, key, op->expected, op->expected_expires,
										 op->value, op->expires);
			break;
		case OP_COMPARE_PAIR_AND_DELETE:
			answer.status = sm_compare_pair_and_delete(map, key, op->expected,
													   op->expected_expires);
			break;
		default:
			break;
	}
	answer.len = buffer.len;
	return answer;
}

int64_t
sm_operation_expires(const sm_operation *op, bool there)
{
	if (op->kind == OP_UPDATE || op->expires == SM_KEEP)
		return there ? op->old_expires : SM_NEVER;
	return op->expires;
}

static bool
compares_pairs(const sm_operation *op)
{
	return op->kind == OP_COMPARE_PAIR_AND_SWAP ||
		op->kind == OP_COMPARE_PAIR_AND_DELETE;
}

sm_change
sm_operation_predict(const sm_operation *op, bool there, sm_bytes old,
					 sm_result *answer, sm_bytes *stored)
{
	bool copies = op->kind == OP_GET || op->kind == OP_GET_OR_PUT ||
		op->kind == OP_SWAP || op->kind == OP_GET_AND_DELETE;

	*answer = (sm_result) {.status = there ? SM_FOUND : SM_ABSENT};
	*stored = op->value;
	if (there && copies)
	{
		answer->len = old.len;
		answer->bytes = old.data;
		if (old.len > op->room)
		{
			answer->status = SM_TOO_SMALL;
			return CHANGE_NOTHING;
		}
	}

	switch (op->kind)
	{
		case OP_PUT:
		case OP_SWAP:
			return CHANGE_STORE;
		case OP_GET_OR_PUT:
			return there ? CHANGE_NOTHING : CHANGE_STORE;
		case OP_UPDATE:
			if (op->updater.answer < 0)
			{
				answer->status = SM_REFUSED;
				return CHANGE_NOTHING;
			}
			*stored = (sm_bytes) {op->updater.bytes, (size_t) op->updater.answer};
			return CHANGE_STORE;
		case OP_DELETE:
		case OP_GET_AND_DELETE:
			return there ? CHANGE_REMOVE : CHANGE_NOTHING;
		case OP_COMPARE_AND_SWAP:
		case OP_COMPARE_AND_DELETE:
		case OP_COMPARE_PAIR_AND_SWAP:
		case OP_COMPARE_PAIR_AND_DELETE:
			if (there &&
				(!sm_bytes_are(old, op->expected.data, op->expected.len) ||
				 (compares_pairs(op) && op->expected_expires != op->old_expires)))
			{
				answer->status = SM_MISMATCH;
				return CHANGE_NOTHING;
			}
			if (!there)
				return CHANGE_NOTHING;
			return op->kind == OP_COMPARE_AND_SWAP ||
					op->kind == OP_COMPARE_PAIR_AND_SWAP ?
				CHANGE_STORE :
				CHANGE_REMOVE;
		case OP_REPLACE:
			return there ? CHANGE_STORE : CHANGE_NOTHING;
		default:
			return CHANGE_NOTHING;
	}
}

void
sm_operation_apply(sm_reference *reference, sm_bytes key, sm_change change,
				   sm_bytes value)
{
	if (change == CHANGE_STORE)
		reference->store(reference, key, value);
	else if (change == CHANGE_REMOVE)
		reference->remove(reference, key);
}

void
sm_operation_check_updater(const sm_updater *u, bool there, sm_bytes old)
{
	sm_check(u->calls == 1, "sm_update called its function %d times", u->calls);
	sm_check(u->old_len == (there ? old.len : 0), "sm_update gave a length of %zu",
			 u->old_len);
	sm_check(u->old_given == (there && old.len <= SM_MAX_UPDATE),
			 "sm_update gave %s value", u->old_given ? "a" : "no");
	sm_check(!u->old_given || sm_bytes_are(old, u->old, u->old_len),
			 "sm_update gave another value");
}
