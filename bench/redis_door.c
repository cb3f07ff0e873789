/*
 * redis_door - the opponent of bench/admission: the same check as a Lua script
 * in Redis, by as many callers, each on a connection of its own.
 *
 *   redis_door SOCKET SCRIPT CALLERS KEYS SECONDS
 *
 * Prints decisions a second.  Plain RESP over a Unix socket, one poll loop, no
 * client library: nothing of it is slower than it has to be.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS_MAX = 1024, ANSWER_MAX = 4096 };

static struct pollfd fds[CALLERS_MAX];
static struct {
	char answer[ANSWER_MAX];
	size_t n;
} callers[CALLERS_MAX];
static char sha[41];
static long keys, asked;

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "redis_door: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(path);
	return fd;
}

static void
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(fd, p, n);

		if (sent < 0)
			die("write");
		p += sent;
		n -= (size_t)sent;
	}
}

static void
load_script(int fd, const char *path)
{
	static char text[16384], request[17000];
	FILE *f = fopen(path, "r");
	size_t n;
	int len;

	if (f == NULL)
		die(path);
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	len = snprintf(request, sizeof(request),
	    "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%.*s\r\n", n, (int)n,
	    text);
	send_all(fd, request, (size_t)len);
	/* "$40\r\n<sha>\r\n" */
	for (n = 0; n < 47;) {
		ssize_t got = read(fd, text + n, 47 - n);

		if (got <= 0)
			die("read");
		n += (size_t)got;
	}
	if (text[0] != '$')
		die("SCRIPT LOAD");
	memcpy(sha, text + 5, 40);
}

static void
ask(int fd)
{
	char request[400], key[32];
	int klen = snprintf(
	    key, sizeof(key), "key:%ld", keys == 1 ? 1 : asked * 7919 % keys);
	int len = snprintf(request, sizeof(request),
	    "*7\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n"
	    "$9\r\n100000000\r\n$2\r\n60\r\n$1\r\n1\r\n",
	    sha, klen, key);

	asked++;
	send_all(fd, request, (size_t)len);
}

/* "*3\r\n:1\r\n:USED\r\n:ID\r\n": four lines. */
static int
whole(const char *p, size_t n)
{
	int lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	if (n > 0 && p[0] == '-')
		die("the script failed");
	return lines == 4;
}

int
main(int argc, char **argv)
{
	double end, start;
	long done = 0;
	int n;

	if (argc != 6 || (n = atoi(argv[3])) < 1 || n > CALLERS_MAX)
		return 2;
	keys = atol(argv[4]);
	for (int i = 0; i < n; i++)
		fds[i] = (struct pollfd){ dial(argv[1]), POLLIN, 0 };
	load_script(fds[0].fd, argv[2]);
	start = now_s();
	end = start + atof(argv[5]);
	for (int i = 0; i < n; i++)
		ask(fds[i].fd);
	while (now_s() < end) {
		if (poll(fds, (nfds_t)n, 1000) < 0)
			die("poll");
		for (int i = 0; i < n; i++) {
			ssize_t got;

			if (fds[i].revents == 0)
				continue;
			got = read(fds[i].fd, callers[i].answer + callers[i].n,
			    ANSWER_MAX - callers[i].n);
			if (got <= 0)
				die("read");
			callers[i].n += (size_t)got;
			if (!whole(callers[i].answer, callers[i].n))
				continue;
			callers[i].n = 0;
			done++;
			ask(fds[i].fd);
		}
	}
	printf("%.0f\n", (double)done / (now_s() - start));
	return 0;
}
