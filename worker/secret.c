#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
secret_wipe(struct buf *secret)
{
	if (secret->p != NULL)
		explicit_bzero(secret->p, secret->cap);
	buf_clear(secret);
}

const char *
secret_read(const char *file, struct buf *out, int64_t *mtime_ns)
{
	struct stat st;
	const char *fault = NULL;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	secret_wipe(out);
	if (fd < 0 || fstat(fd, &st) != 0) {
		fault = strerror(errno);
	} else if (!S_ISREG(st.st_mode) || st.st_size > SECRET_MAX) {
		fault = "is not a small plain file";
	} else {
		if (mtime_ns != NULL)
			*mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 +
			    st.st_mtim.tv_nsec;
		buf_reserve(out, SECRET_MAX);
		n = read(fd, out->p, SECRET_MAX);
		out->n = n > 0 ? (size_t)n : 0;
		fault = n < 0 ? strerror(errno) : NULL;
	}
	if (fd >= 0)
		close(fd);
	return fault;
}
