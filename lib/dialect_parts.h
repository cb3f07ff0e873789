/*
 * dialect_parts - what the files of dialect share: the table and the readers
 * of values, lists and bodies.
 */
#ifndef LIB_DIALECT_PARTS_H
#define LIB_DIALECT_PARTS_H

#include <sluice/dialect.h>

/* Every dialect, those that are told from others by less behind them. */
#define DIALECTS(X)                   \
	X(OPENAI, "openai")           \
	X(ACCOUNT, "account")         \
	X(AZURE, "azure")             \
	X(GROQ, "groq")               \
	X(NEBIUS, "nebius")           \
	X(FIREWORKS, "fireworks")     \
	X(RELAY, "relay")             \
	X(CHUNKS, "chunks")           \
	X(PRIORITY, "priority")       \
	X(X_RATELIMIT, "x-ratelimit") \
	X(TOGETHER, "together")       \
	X(OPENROUTER, "openrouter")   \
	X(GITHUB, "github")           \
	X(ANTHROPIC, "anthropic")     \
	X(CEREBRAS, "cerebras")       \
	X(MISTRAL, "mistral")         \
	X(IETF, "ietf")               \
	X(RATELIMIT, "ratelimit")     \
	X(COHERE, "cohere")           \
	X(GEMINI, "gemini")           \
	X(DEEPSEEK, "deepseek")       \
	X(NAMED, "named")

enum dialect_id {
#define X(id, name) DIALECT_ID_##id,
	DIALECTS(X)
#undef X
	    DIALECT_IDS
};

/* How a row's reset is written; or what else the row is. */
enum dialect_unit {
	UNIT_NONE,     /* no reset */
	UNIT_SECONDS,  /* from the answer on */
	UNIT_SPAN,     /* 6m0s, from the answer on */
	UNIT_RFC3339,  /* an instant */
	UNIT_EPOCH_S,  /* an instant */
	UNIT_EPOCH_MS, /* an instant */
	UNIT_LIST,     /* the field is RateLimit of the IETF's draft */
	UNIT_POLICY,   /* RateLimit-Policy of the same */
	UNIT_MARK,     /* says nothing of limits, but who speaks */
	UNIT_BODY,     /* the same, and stands in an error's type or code */
};

/*
 * One limit.  The '*' of the header stands for limit, remaining, reset or used:
 * so many headers at most tell one reading.
 */
struct dialect_row {
	enum dialect_id id;
	const char *header; /* lower case */
	enum dialect_unit unit;
	enum dialect_dim dim;
	int32_t window_s; /* 0: it is not known */
	bool dynamic;     /* where the dialect is sure */
};

extern const struct dialect_row dialect_rows[];
extern const size_t dialect_nrows;

/* dialect_value.c: numbers, spans ------------------------------------- */

/* ASCII alone. */
bool dialect_is_digit(char c);
bool dialect_is_alpha(char c);
/* Past the first n bytes; n <= s->n. */
void dialect_advance(struct slice *s, size_t n);

/* The first number: "100, 100;window=60" is 100.  Whole, 0..10^15. */
bool dialect_count(struct slice s, int64_t *out);
/* The window of such a list's policy for that count, or 0. */
int32_t dialect_count_window(struct slice s, int64_t count);
/* Digits with at most one point, in units of so many ms; above 0, rounded up,
 * at most DIALECT_WAIT_MAX_MS. */
bool dialect_decimal_ms(struct slice s, double unit_ms, int64_t *out);
/* "1m30.5s", "12ms": the same bounds. */
bool dialect_span_ms(struct slice s, int64_t *out);
/* What stands at the start of a text: "12 seconds.", "5.289s", "10h17m5.7s",
 * "1 minute and 3 seconds", "30".  The same bounds. */
bool dialect_words_ms(struct slice s, int64_t *out);
/*
 * A reset of any unit, told by its shape, as ms after date_ms (Unix time); the
 * same bounds, so none in the past.  shape (may be NULL) is set whenever the
 * shape is known, even if the time is no evidence.
 */
bool dialect_reset_ms(
    struct slice s, int64_t date_ms, int64_t *out, enum dialect_unit *shape);

/* dialect_date.c: instants ------------------------------------------------ */

/*
 * RFC 9110's three forms and JavaScript's, "Fri Nov 27 2026 18:24:03 GMT+0000
 * (Coordinated Universal Time)", to Unix time.  Of years of two digits the one
 * that is nearest to near_s is meant.
 */
bool dialect_date(struct slice s, int64_t near_s, int64_t *out);
/* RFC 3339, to Unix time in ms. */
bool dialect_rfc3339_ms(struct slice s, int64_t *out);

/* dialect_list.c: structured fields (RFC 9651) ------------------------- */

/*
 * Of a policy or what is left of it.  Drafts up to 7 have no names: a policy
 * starts with its amount (300;w=60), what is left is a dictionary, one item
 * here (limit=300, remaining=120, reset=37).
 */
struct dialect_item {
	struct slice name;     /* without quotes; p NULL: none */
	int64_t q, w, r, t_ms; /* -1: not there */
	struct slice unit;     /* qu; p NULL: not there */
};
/* Items of a list, at most max; 0 when it is malformed. */
size_t dialect_list(struct slice s, struct dialect_item *items, size_t max);

/* dialect_body.c: what an error says ------------------------------------ */

enum { DIALECT_CODES_MAX = 256, DIALECT_TEXT_MAX = 3000 };

struct dialect_error {
	bool found;
	int status; /* that it names; 0: none */
	/* Lower case, '_' and '-' as spaces, web addresses left out. */
	char codes[DIALECT_CODES_MAX]; /* type, code, status */
	char text[DIALECT_TEXT_MAX];   /* message, details */
	int64_t wait_ms;               /* 0: not said */
	struct slice headers; /* error.metadata.headers, an object; or p NULL */
};
/* The error in a body: an object, one in an array, a stream's event, or, unless
 * served, any text. */
void dialect_error(struct slice body, bool served, struct dialect_error *out);
struct slice dialect_trim(struct slice s);  /* of white space */
struct slice dialect_line(struct slice *s); /* the first, taken off */
/* The next member of a JSON object that is text or number: from *at on, which
 * starts at 0. */
bool dialect_member(
    struct slice object, size_t *at, struct slice *name, struct slice *value);

/* dialect_header.c: readings --------------------------------------------- */

struct dialect_heard {
	const char *dialect; /* configured; NULL: to be recognised */
	struct slice headers;
	const struct dialect_error *error;
	int64_t date_ms;
};
/* Fill dialect, readings. */
void dialect_hear(const struct dialect_heard *in, struct dialect_answer *out);

/* dialect_refusal.c ------------------------------------------------------- */

/* Fill refusal, refused_dim, refused_window_s; readings are there, and the wait
 * of a header. */
void dialect_judge(
    int status, const struct dialect_error *error, struct dialect_answer *out);

#endif
