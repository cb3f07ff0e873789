#include <math.h>
#include <string.h>

#include "answer.h"
#include "chance.h"

static const char *const fillers[] = { " the", " quick", " brown", " fox",
	" jumps", " over", " a", " lazy", " dog", " while", " seven",
	" sailors", " watch", " from", " their", " ship" };
static const char *const categories[] = { "admin", "devel", "doc", "games",
	"libs", "net", "science", "text", "utils", "web" };
static const char *const bad_numbers[] = { "-17", "9223372036854775808", "1e30",
	"12.75", "\"12\"", "null" };
static const char *const moderated[] = { "harassment", "harassment/threatening",
	"hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
	"self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors",
	"violence", "violence/graphic" };

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

int64_t
answer_tokens(uint64_t hash, double mean, double cv, int64_t most)
{
	struct chance c = { hash };
	double spread = log1p(cv * cv); /* variance of the logarithm */
	int64_t n = llround(mean);

	if (cv > 0)
		n = llround(fmin(1e9,
		    chance_lognormal(
			&c, mean * exp(-spread / 2), sqrt(spread))));
	if (most >= 0 && n > most)
		n = most;
	return n > 0 ? n : 1;
}

bool
answer_has_text(enum endpoint e)
{
	return e != ENDPOINT_EMBEDDINGS && e != ENDPOINT_MODERATIONS;
}

/* The text at place k of an answer's list, and what it is called there. */
static int64_t
input_at(const struct answer *a, int64_t k)
{
	return a->reversed ? a->inputs - 1 - k : k;
}

static uint64_t
input_hash(const struct answer *a, int64_t i)
{
	return a->each != NULL ? a->each[i] : a->hash;
}

static void
add_index(struct text *out, const struct answer *a, int64_t i)
{
	text_adds(out, "\"index\":");
	text_addi(out, a->bad_index && i > 0 ? i - 1 : i);
}

static void
add_text(struct text *out, const struct answer *a)
{
	static const char pad[] = " and so on and on and on and on and on";

	if (a->bad_utf8)
		text_adds(out, "\xc3\x28 \xff\xfe ");
	if (a->style == ANSWER_WORDS) {
		text_adds(out, categories[a->hash % NITEMS(categories)]);
	} else {
		text_adds(out, "echo:");
		text_addx(out, a->hash);
		for (int64_t i = 1; i < a->completion; i++)
			text_adds(out,
			    fillers[(a->hash + (uint64_t)i) % NITEMS(fillers)]);
	}
	for (int64_t n = 0; n < a->padding; n += sizeof(pad) - 1)
		text_add(out, pad, sizeof(pad) - 1);
}

static void
add_id(struct text *out, const char *prefix, const struct answer *a)
{
	text_adds(out, "{\"id\":\"");
	text_adds(out, prefix);
	text_addx(out, a->hash);
	text_addx(out, a->serial);
	text_adds(out, "\",");
}

static void
add_count(
    struct text *out, const struct answer *a, const char *name, int64_t tokens)
{
	text_adds(out, name);
	if (a->bad_usage)
		text_adds(out, bad_numbers[a->hash % NITEMS(bad_numbers)]);
	else
		text_addi(out, tokens);
}

static void
add_head(struct text *out, const char *object, const struct answer *a)
{
	text_adds(out, "\"object\":\"");
	text_adds(out, object);
	text_adds(out, "\",\"created\":");
	text_addi(out, a->created);
	text_adds(out, ",\"model\":\"");
	text_adds(out, a->model);
	text_adds(out, "\",\"choices\":[");
}

/* The end of the choices and of the answer. */
static void
add_usage(struct text *out, const struct answer *a)
{
	add_count(out, a, "],\"usage\":{\"prompt_tokens\":", a->prompt);
	add_count(out, a, ",\"completion_tokens\":", a->completion);
	add_count(out, a, ",\"total_tokens\":", a->prompt + a->completion);
	text_adds(out,
	    ",\"prompt_tokens_details\":{\"cached_tokens\":0,"
	    "\"audio_tokens\":0},\"completion_tokens_details\":"
	    "{\"reasoning_tokens\":0,\"audio_tokens\":0,"
	    "\"accepted_prediction_tokens\":0,"
	    "\"rejected_prediction_tokens\":0}},"
	    "\"system_fingerprint\":\"fp_5117ce\"}");
}

static void
write_chat(struct text *out, const struct answer *a)
{
	add_id(out, "chatcmpl-", a);
	add_head(out, "chat.completion", a);
	text_adds(out,
	    "{\"index\":0,\"message\":{\"role\":\"assistant\","
	    "\"content\":\"");
	add_text(out, a);
	text_adds(out,
	    "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
	    "\"finish_reason\":\"");
	text_adds(out, a->cut_short ? "length\"}" : "stop\"}");
	add_usage(out, a);
}

static void
write_completion(struct text *out, const struct answer *a)
{
	const char *end = a->cut_short ? "\",\"logprobs\":null,"
					 "\"finish_reason\":\"length\"}"
				       : "\",\"logprobs\":null,"
					 "\"finish_reason\":\"stop\"}";

	add_id(out, "cmpl-", a);
	add_head(out, "text_completion", a);
	for (int64_t k = 0; k < a->inputs; k++) {
		struct answer one = *a;

		one.hash = input_hash(a, input_at(a, k));
		one.completion = a->completion / a->inputs;
		text_adds(out, k > 0 ? ",{" : "{");
		add_index(out, a, input_at(a, k));
		text_adds(out, ",\"text\":\"");
		add_text(out, &one);
		text_adds(out, end);
	}
	add_usage(out, a);
}

static void
add_vector(struct text *out, const struct answer *a, uint64_t hash)
{
	struct chance c = { hash };
	uint64_t bits = hash;

	for (int64_t k = 0; k < a->dimensions; k++) {
		char number[] = "0.00000,";
		uint64_t group = bits >> (48 - 16 * (k % 4)) & 0xffff;

		for (size_t i = 6; i > 1; i--, group /= 10)
			number[i] = (char)('0' + group % 10);
		text_add(out, number, k + 1 < a->dimensions ? 8 : 7);
		if (k % 4 == 3)
			bits = chance_next(&c);
	}
}

static void
write_embeddings(struct text *out, const struct answer *a)
{
	text_adds(out, "{\"object\":\"list\",\"data\":[");
	for (int64_t k = 0; k < a->inputs; k++) {
		text_adds(out, k > 0 ? ",{" : "{");
		text_adds(out, "\"object\":\"embedding\",");
		add_index(out, a, input_at(a, k));
		text_adds(out, ",\"embedding\":[");
		add_vector(out, a, input_hash(a, input_at(a, k)));
		text_adds(out, "]}");
	}
	text_adds(out, "],\"model\":\"");
	text_adds(out, a->model);
	add_count(out, a, "\",\"usage\":{\"prompt_tokens\":", a->prompt);
	add_count(out, a, ",\"total_tokens\":", a->prompt);
	text_adds(out, "}}");
}

static void
write_response(struct text *out, const struct answer *a)
{
	add_id(out, "resp_", a);
	text_adds(out, "\"object\":\"response\",\"created_at\":");
	text_addi(out, a->created);
	text_adds(out,
	    a->cut_short
		? ",\"status\":\"incomplete\",\"incomplete_details\":"
		  "{\"reason\":\"max_output_tokens\"}"
		: ",\"status\":\"completed\",\"incomplete_details\":null");
	text_adds(out, ",\"error\":null,\"instructions\":null,\"model\":\"");
	text_adds(out, a->model);
	text_adds(out, "\",\"output\":[");
	add_id(out, "msg_", a);
	text_adds(out,
	    "\"type\":\"message\",\"status\":\"completed\","
	    "\"role\":\"assistant\",\"content\":[{\"type\":"
	    "\"output_text\",\"annotations\":[],\"text\":\"");
	add_text(out, a);
	text_adds(out,
	    "\"}]}],\"parallel_tool_calls\":true,"
	    "\"previous_response_id\":null,\"store\":true,"
	    "\"temperature\":1.0,\"text\":{\"format\":{\"type\":"
	    "\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],"
	    "\"top_p\":1.0,\"truncation\":\"disabled\","
	    "\"metadata\":{}");
	add_count(out, a, ",\"usage\":{\"input_tokens\":", a->prompt);
	text_adds(out, ",\"input_tokens_details\":{\"cached_tokens\":0}");
	add_count(out, a, ",\"output_tokens\":", a->completion);
	text_adds(out, ",\"output_tokens_details\":{\"reasoning_tokens\":0}");
	add_count(out, a, ",\"total_tokens\":", a->prompt + a->completion);
	text_adds(out, "}}");
}

static void
add_categories(struct text *out, const char *name, const char *value)
{
	text_adds(out, name);
	for (size_t i = 0; i < NITEMS(moderated); i++) {
		text_adds(out, i > 0 ? ",\"" : "{\"");
		text_adds(out, moderated[i]);
		text_adds(out, value);
	}
	text_adds(out, "}");
}

static void
write_moderation(struct text *out, const struct answer *a)
{
	add_id(out, "modr-", a);
	text_adds(out, "\"model\":\"");
	text_adds(out, a->model);
	text_adds(out, "\",\"results\":[");
	for (int64_t i = 0; i < a->inputs; i++) {
		text_adds(out, i > 0 ? "," : "");
		text_adds(out, "{\"flagged\":false");
		add_categories(out, ",\"categories\":", "\":false");
		add_categories(out, ",\"category_scores\":", "\":0.0001");
		add_categories(
		    out, ",\"category_applied_input_types\":", "\":[\"text\"]");
		text_adds(out, "}");
	}
	text_adds(out, "]}");
}

void
answer_write(struct text *out, const struct answer *a)
{
	static void (*const write[ENDPOINTS])(
	    struct text *, const struct answer *) = {
		[ENDPOINT_CHAT] = write_chat,
		[ENDPOINT_COMPLETIONS] = write_completion,
		[ENDPOINT_EMBEDDINGS] = write_embeddings,
		[ENDPOINT_RESPONSES] = write_response,
		[ENDPOINT_MODERATIONS] = write_moderation,
	};

	write[a->endpoint](out, a);
}

static void
add_event_head(struct text *out, const struct answer *a)
{
	text_adds(out, "data: ");
	add_id(out, "chatcmpl-", a);
	text_adds(out, "\"object\":\"chat.completion.chunk\",\"created\":");
	text_addi(out, a->created);
	text_adds(out, ",\"model\":\"");
	text_adds(out, a->model);
	text_adds(out, "\",\"choices\":[");
}

void
answer_piece(struct text *out, const struct answer *a, int64_t number)
{
	bool last = number + 1 == a->completion;

	add_event_head(out, a);
	text_adds(out, "{\"index\":0,\"delta\":{\"content\":\"");
	if (number == 0) {
		text_adds(out, "echo:");
		text_addx(out, a->hash);
	} else {
		text_adds(out,
		    fillers[(a->hash + (uint64_t)number) % NITEMS(fillers)]);
	}
	text_adds(out, "\"},\"finish_reason\":");
	text_adds(out,
	    !last              ? "null"
		: a->cut_short ? "\"length\""
			       : "\"stop\"");
	text_adds(out, "}]}\n\n");
}

void
answer_last_piece(struct text *out, const struct answer *a)
{
	add_event_head(out, a);
	add_count(out, a, "],\"usage\":{\"prompt_tokens\":", a->prompt);
	add_count(out, a, ",\"completion_tokens\":", a->completion);
	add_count(out, a, ",\"total_tokens\":", a->prompt + a->completion);
	text_adds(out, "}}\n\n");
}

void
answer_error(
    struct text *out, const char *message, const char *type, const char *code)
{
	text_adds(out, "{\"error\":{\"message\":");
	text_add_json(out, message, strlen(message));
	text_adds(out, ",\"type\":\"");
	text_adds(out, type);
	text_adds(out, "\",\"param\":null,\"code\":");
	if (code == NULL)
		text_adds(out, "null");
	else
		text_add_json(out, code, strlen(code));
	text_adds(out, "}}");
}

void
answer_models(struct text *out)
{
	static const char *const ids[] = { "gpt-4o-mini", "gpt-4o",
		"gpt-3.5-turbo-instruct", "text-embedding-3-small",
		"omni-moderation-latest" };

	text_adds(out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < NITEMS(ids); i++) {
		text_adds(out, i > 0 ? ",{\"id\":\"" : "{\"id\":\"");
		text_adds(out, ids[i]);
		text_adds(out,
		    "\",\"object\":\"model\",\"created\":"
		    "1721172741,\"owned_by\":\"upstream\"}");
	}
	text_adds(out, "]}");
}
