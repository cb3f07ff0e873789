#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
reaches(atomic_int *counter, int value)
{
	int64_t end_ms = clock_ms() + PEER_PATIENCE_MS;

	while (*counter < value && *counter >= 0 && clock_ms() < end_ms)
		poll(NULL, 0, 1);
	return *counter >= value;
}

static int
dial_any(int family, const void *addr, socklen_t n)
{
	struct timeval patience = { .tv_sec = PEER_PATIENCE_MS / 1000 };
	int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, addr, n) != 0) {
		printf("# dial: %s\n", strerror(errno));
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

int
dial(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	addr.sin_port = htons((uint16_t)tally->port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return dial_any(AF_INET, &addr, sizeof(addr));
}

int
dial_unix(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return dial_any(AF_UNIX, &addr, sizeof(addr));
}

bool
say(int fd, struct slice bytes)
{
	while (bytes.n > 0) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes = (struct slice){ bytes.p + n, bytes.n - (size_t)n };
	}
	return true;
}

void
says(int fd, const char *text)
{
	say(fd, slice_str(text));
}

void
say_bytewise(int fd, struct slice bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		say(fd, (struct slice){ bytes.p + i, 1 });
}

static bool
hear_more(int fd, struct buf *in)
{
	ssize_t n;

	buf_reserve(in, 256 << 10);
	n = recv(fd, in->p + in->n, 256 << 10, 0);
	if (n <= 0)
		return false;
	in->n += (size_t)n;
	return true;
}

static void
move_bytes(struct buf *from, size_t n, struct buf *to)
{
	buf_add(to, from->p, n);
	buf_drop(from, n);
}

/* Up to and with the mark. */
static bool
hear_until(int fd, struct buf *in, const char *mark, struct buf *out)
{
	const char *hit;

	while ((hit = in->n == 0
		       ? NULL
		       : memmem(in->p, in->n, mark, strlen(mark))) == NULL)
		if (!hear_more(fd, in))
			return false;
	move_bytes(in, (size_t)(hit - in->p) + strlen(mark), out);
	return true;
}

static bool
hear_bytes(int fd, struct buf *in, size_t n, struct buf *out)
{
	while (n > 0) {
		size_t part = in->n < n ? in->n : n;

		move_bytes(in, part, out);
		n -= part;
		if (n > 0 && !hear_more(fd, in))
			return false;
	}
	return true;
}

static bool
hear_chunks(int fd, struct buf *in, struct buf *out)
{
	struct buf line = { 0 };
	bool whole = false;

	while (hear_until(fd, in, "\r\n", &line)) {
		size_t n = strtoul(buf_cstr(&line), NULL, 16);

		if (!hear_bytes(fd, in, n, out))
			break;
		buf_clear(&line);
		if (!hear_bytes(fd, in, 2, &line) ||
		    memcmp(line.p, "\r\n", 2) != 0)
			break;
		buf_clear(&line);
		whole = n == 0;
		if (whole)
			break;
	}
	buf_fini(&line);
	return whole;
}

const char *
answer_header(struct answer *a, const char *name, char out[256])
{
	const char *line = buf_cstr(&a->head);
	size_t n = strlen(name);

	out[0] = '\0';
	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
			snprintf(out, 256, "%.*s",
			    (int)strcspn(line + n + 2, "\r"), line + n + 2);
			break;
		}
	}
	return out;
}

void
hear(int fd, struct buf *rest, bool to_head, struct answer *a)
{
	char value[256];

	*a = (struct answer){ 0 };
	if (!hear_until(fd, rest, "\r\n\r\n", &a->head) ||
	    sscanf(buf_cstr(&a->head), "HTTP/1.1 %d ", &a->status) != 1)
		return;
	if (to_head || a->status < 200 || a->status == 204 ||
	    a->status == 304) {
		a->whole = true;
	} else if (answer_header(a, "transfer-encoding", value)[0] != '\0') {
		a->whole = strcmp(value, "chunked") == 0 &&
		    hear_chunks(fd, rest, &a->body);
	} else if (answer_header(a, "content-length", value)[0] != '\0') {
		a->whole =
		    hear_bytes(fd, rest, strtoul(value, NULL, 10), &a->body);
	} else {
		errno = 0;
		while (hear_more(fd, rest))
			;
		move_bytes(rest, rest->n, &a->body);
		a->whole = errno != ECONNRESET;
	}
}

void
answer_fini(struct answer *a)
{
	buf_fini(&a->head);
	buf_fini(&a->body);
}

struct answer
exchange(int fd, struct buf *rest, const char *request)
{
	struct answer a;

	says(fd, request);
	hear(fd, rest, strncmp(request, "HEAD", 4) == 0, &a);
	return a;
}

int
ask(const char *request)
{
	struct buf rest = { 0 };
	struct answer a;
	int status, fd = dial();

	says(fd, request);
	hear(fd, &rest, false, &a);
	status = a.status;
	answer_fini(&a);
	buf_fini(&rest);
	close(fd);
	return status;
}

bool
ends(int fd, struct buf *rest)
{
	char c;

	errno = 0;
	return rest->n == 0 && recv(fd, &c, 1, 0) <= 0 && errno != EAGAIN;
}
