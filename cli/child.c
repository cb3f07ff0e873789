#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_LOG_TAIL = 4096 };

static bool
become(const struct child_user *user)
{
	return user == NULL || geteuid() == user->uid ||
	    (setgroups(0, NULL) == 0 && setgid(user->gid) == 0 &&
		setuid(user->uid) == 0);
}

/* In the child; returns when it failed, with errno. */
static void
turn_into(const struct child_spec *spec, int in, int out, pid_t parent)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A shell's `&` has us ignore some, and that would be inherited. */
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		return;
	/* Also the lock of the state directory, which must end with us. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (!become(spec->user))
		return;
	/* Where we stand may be closed to that user. */
	if (spec->user != NULL && chdir("/") != 0)
		return;
	/* After setuid(), which would take it back. */
	if (prctl(PR_SET_PDEATHSIG, spec->death_signal) != 0)
		return;
	if (getppid() != parent)
		_exit(1); /* we were not quick enough */
	execvpe(spec->argv[0], (char *const *)spec->argv,
	    spec->env != NULL ? (char *const *)spec->env : environ);
}

/* A descriptor to read the text from, which a pipe holds whole. */
static int
open_input(const char *text)
{
	int fds[2];
	size_t n = text != NULL ? strlen(text) : 0;

	if (text == NULL)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	if (write(fds[1], text, n) != (ssize_t)n) {
		close(fds[0]);
		fds[0] = -1;
	}
	close(fds[1]);
	return fds[0];
}

enum slc_rc
child_start(const struct child_spec *spec, pid_t *pid, struct slc_err *err)
{
	int failure[2] = { -1, -1 }, in = -1, out = -1, why = 0;
	enum slc_rc rc = SLC_OK;
	pid_t parent = getpid();

	*pid = 0;
	in = open_input(spec->input);
	out = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (in < 0 || out < 0 || pipe2(failure, O_CLOEXEC) != 0) {
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", spec->log, strerror(errno));
		goto out;
	}
	*pid = fork();
	if (*pid == 0) {
		turn_into(spec, in, out, parent);
		why = errno;
		if (write(failure[1], &why, sizeof(why)) < 0)
			_exit(1);
		_exit(127);
	}
	if (*pid < 0)
		why = errno;
	close(failure[1]);
	failure[1] = -1;
	/* Ends without a byte when exec() has closed the other end. */
	if (*pid > 0 && read(failure[0], &why, sizeof(why)) > 0)
		waitpid(*pid, NULL, 0);
	if (why != 0) {
		*pid = 0;
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", spec->argv[0], strerror(why));
	}
out:
	for (int i = 0; i < 2; i++)
		if (failure[i] >= 0)
			close(failure[i]);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return rc;
}

static void
describe(int status, char how[64])
{
	if (WIFSIGNALED(status))
		snprintf(how, 64, "was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, 64, "ended with status %d", WEXITSTATUS(status));
}

enum slc_rc
child_run(const struct child_spec *spec, struct slc_err *err)
{
	enum slc_rc rc;
	char how[64];
	int status;
	pid_t pid;

	rc = child_start(spec, &pid, err);
	if (rc != SLC_OK)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return slc_fail(err, SLC_EIO, "%s: %s", spec->argv[0],
			    strerror(errno));
	describe(status, how);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return SLC_OK;
	return slc_fail(err, SLC_EIO, "%s %s", spec->argv[0], how);
}

bool
child_ended(pid_t pid, char how[64])
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	describe(status, how);
	return true;
}

off_t
child_log_end(const char *log)
{
	struct stat st;

	return stat(log, &st) == 0 ? st.st_size : 0;
}

void
child_last_words(const char *log, off_t from, struct buf *to)
{
	int fd = open(log, O_RDONLY | O_CLOEXEC);
	off_t end = child_log_end(log);
	ssize_t n = 0;
	char *fatal, *line;

	from = end - from > CHILD_LOG_TAIL ? end - CHILD_LOG_TAIL : from;
	buf_clear(to);
	buf_reserve(to, CHILD_LOG_TAIL);
	if (fd >= 0) {
		n = pread(fd, to->p, CHILD_LOG_TAIL, from);
		close(fd);
	}
	to->n = n > 0 ? (size_t)n : 0;
	while (to->n > 0 && to->p[to->n - 1] == '\n')
		to->n--;
	/* PostgreSQL says why first, and goodbye after. */
	fatal = to->n > 0 ? memmem(to->p, to->n, "PANIC:", 6) : NULL;
	if (fatal == NULL && to->n > 0)
		fatal = memmem(to->p, to->n, "FATAL:", 6);
	if (fatal != NULL) {
		line = memchr(fatal, '\n', to->n - (size_t)(fatal - to->p));
		if (line != NULL)
			to->n = (size_t)(line - to->p);
	}
	line = to->n > 0 ? memrchr(to->p, '\n', to->n) : NULL;
	if (line != NULL)
		buf_drop(to, (size_t)(line + 1 - to->p));
}

enum slc_rc
child_reaches(
    const struct child_user *user, const char *dir, struct slc_err *err)
{
	int status = 0;
	pid_t pid;
	char *part = xstrdup(dir);
	enum slc_rc rc = SLC_OK;

	/* From the root down, until one part is closed. */
	for (char *at = part; rc == SLC_OK && at != NULL;) {
		at = strchr(at + 1, '/');
		if (at != NULL)
			*at = '\0';
		pid = fork();
		if (pid == 0)
			_exit(!become(user) || access(part, X_OK) != 0);
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			rc = slc_fail(err, SLC_EIO, "%s", strerror(errno));
		else if (status != 0)
			rc = slc_fail(err, SLC_EIO,
			    "%s is closed to user %s, who runs the database: "
			    "choose another --state, or chmod o+x %s",
			    part, user->name, part);
		if (at != NULL)
			*at = '/';
	}
	free(part);
	return rc;
}
