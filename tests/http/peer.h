/*
 * peer - the two sides of the tests in this directory: a server in a process
 * of its own (serve.c), and raw sockets that talk to it (peer.c).
 *
 * What the server's handler sees is counted in memory both share.  Nothing
 * sleeps: a test waits for a condition, at most PEER_PATIENCE_MS.
 */
#ifndef TESTS_HTTP_PEER_H
#define TESTS_HTTP_PEER_H

#include <stdatomic.h>

#include <sluice/buf.h>
#include <sluice/http.h>
#include <sluice/slc.h>

enum { PEER_PATIENCE_MS = 20000 };

#if defined(__SANITIZE_ADDRESS__)
enum { PEER_MEASURES_MEMORY = 0 }; /* freed memory is kept to be watched */
#else
enum { PEER_MEASURES_MEMORY = 1 };
#endif

struct tally {
	atomic_int port;
	atomic_int requests; /* on_request */
	atomic_int gone;     /* on_gone */
	atomic_int pieces;   /* on_body */
	atomic_long body;    /* bytes of these */
	atomic_int bodies;   /* on_body_end */
	atomic_int blocked;  /* requests that stopped the loop */
	atomic_int drains;   /* on_drain */
	atomic_int paused;   /* requests the handler has paused, now */
	atomic_int stalled;  /* answers that wait for on_drain, now */
};

/*
 * The server: one at a time, a child process.  It listens on some TCP port if
 * opts names nothing else.  The tally starts at zero.
 */
extern struct tally *tally;
void serve_start(const struct http_opts *opts);
int serve_stop(void); /* its wait status: 0 if it ended clean, and closed all */
void serve_signal(int sig); /* SIGTERM: http_close(); SIGUSR1: resume, answer */
int serve_wait(void);
long serve_memory_kb(const char *what); /* "VmRSS" or "VmHWM" */
double serve_cpu_s(void);

/* True once the counter has that value, or more. */
bool reaches(atomic_int *counter, int value);

int64_t clock_ms(void);

int dial(void);
int dial_unix(const char *path);
bool say(int fd, struct slice bytes); /* true if all of them went */
void says(int fd, const char *text);
void say_bytewise(int fd, struct slice bytes);

/* One answer; what was read beyond it waits in rest for the next. */
struct answer {
	int status; /* 0: none came */
	bool whole; /* its body arrived to the end it was announced with */
	struct buf head, body;
};
void hear(int fd, struct buf *rest, bool to_head, struct answer *a);
void answer_fini(struct answer *a);

/* Send one request, hear one answer. */
struct answer exchange(int fd, struct buf *rest, const char *request);

/* The value of a header into out (cut at 255 bytes); "" if there is none. */
const char *answer_header(struct answer *a, const char *name, char out[256]);

/* Ask and hear once, on a connection of its own; the status. */
int ask(const char *request);

/* The peer closes without saying anything more. */
bool ends(int fd, struct buf *rest);

/* Requests with a Host. */
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, headers, body) \
	"POST " path " HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body

#endif
