/*
 * api_callers - documents that say what callers may do: plans, accounts, keys,
 * named limits, everybody's; checked member by member.
 *
 * Each check answers with the first thing that is wrong, by the name of the
 * member and with what would be right, and returns false.
 */
#ifndef SCHEDULER_API_CALLERS_H
#define SCHEDULER_API_CALLERS_H

#include "api_json.h"

enum api_member_kind {
	MEMBER_TEXT,  /* of max bytes at most, not empty */
	MEMBER_WORD,  /* one of words */
	MEMBER_WORDS, /* a list of 1..max of words */
	MEMBER_INT,   /* min..max */
	MEMBER_YES,
	MEMBER_LIST, /* of what the caller checks */
	MEMBER_TEXTS /* a list of texts, of max bytes each */
};

struct api_member {
	const char *name; /* the table ends with NULL */
	enum api_member_kind kind;
	int64_t min, max;
	const char *const *words; /* end with NULL */
	bool null;                /* may be: then it is unset */
};

/* Answers "where: 'prefix + name' should." */
bool api_wrong(struct call *call, const char *where, const char *prefix,
    const char *name, const char *code, const char *should);

/* Append what a member should be ("must be ..."); nothing: it is that. */
void
api_complain(const json_t *v, const struct api_member *m, struct buf *should);

/* All members are known and as they should be; prefix ("limits.") stands before
 * their names in errors, where ("plan acme") before the message. */
bool api_members_ok(struct call *call, const json_t *doc, const char *prefix,
    const char *where, const struct api_member *members);

/* The member "limits", if there is one, as sluice.caller_limit has them. */
bool
api_caller_limits_ok(struct call *call, const json_t *doc, const char *where);

bool api_plan_ok(struct call *call, const json_t *doc, const char *where);
bool api_account_ok(struct call *call, const json_t *doc, const char *where);
bool api_key_ok(struct call *call, const json_t *doc, const char *where);
bool api_named_ok(struct call *call, const json_t *doc, const char *where);
bool api_everybody_ok(struct call *call, const json_t *doc, const char *where);

/* a-z, 0-9 and -, SLC_LIMIT_NAME_MIN to _MAX. */
bool api_limit_name_ok(struct call *call, const char *name);

/* The callers' part of what POST /admin/v1/apply takes. */
bool api_callers_ok(struct call *call, const json_t *doc);

#endif
