#include "hostile.h"

#include <stdlib.h>
#include <string.h>

static void add_escaped(struct buf *out, const char *s, const char *end);

/* {text*count} */
static const char *
add_repeated(struct buf *out, const char *s, const char *end)
{
	const char *close = memchr(s, '}', (size_t)(end - s));
	const char *star = memrchr(s, '*', (size_t)(close - s));

	for (long n = atol(star + 1); n > 0; n--)
		add_escaped(out, s + 1, star);
	return close + 1;
}

static void
add_escaped(struct buf *out, const char *s, const char *end)
{
	static const char from[] = "rnt\\", to[] = "\r\n\t\\";

	while (s < end) {
		if (*s == '{') {
			s = add_repeated(out, s, end);
		} else if (*s != '\\') {
			buf_addc(out, *s++);
		} else if (s[1] == 'x') {
			char hex[3] = { s[2], s[3], '\0' };

			buf_addc(out, (char)strtol(hex, NULL, 16));
			s += 4;
		} else {
			buf_addc(out, to[strchr(from, s[1]) - from]);
			s += 2;
		}
	}
}

static void
read_verdict(struct hostile *h, char *line)
{
	h->answers = 0;
	for (char *w = strtok(line, " "); w != NULL; w = strtok(NULL, " "))
		if (w[0] >= '0' && w[0] <= '9' &&
		    h->answers < HOSTILE_ANSWERS_MAX)
			h->status[h->answers++] = atoi(w);
		else
			h->open = strcmp(w, "open") == 0;
}

bool
hostile_next(FILE *f, struct hostile *h)
{
	enum { VERDICT, BYTES } want = VERDICT;
	bool in_case = false;
	char line[1024];

	buf_clear(&h->bytes);
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' && in_case)
			return true;
		if (line[0] == '=') {
			snprintf(h->name, sizeof(h->name), "%.79s", line + 2);
			in_case = true;
		} else if (in_case && want == VERDICT) {
			read_verdict(h, line);
			want = BYTES;
		} else if (in_case) {
			add_escaped(&h->bytes, line, line + strlen(line));
		}
	}
	if (!in_case)
		buf_fini(&h->bytes);
	return in_case;
}

FILE *
hostile_open(void)
{
	FILE *f = fopen("tests/data/hostile.txt", "r");

	if (f == NULL)
		perror("tests/data/hostile.txt");
	return f;
}
