#include <sluice/nofile.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include <sluice/log.h>

enum { NOFILE_BESIDES = 64 }; /* databases, secrets, the loop's own */

bool
nofile_fit(const char *program, const char *option, int64_t each, int64_t *n)
{
	struct rlimit limit;
	int64_t fits;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return true;
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			limit.rlim_cur = before;
	}
	if (limit.rlim_cur > INT32_MAX)
		return true;
	fits = ((int64_t)limit.rlim_cur - NOFILE_BESIDES) / each;
	if (*n <= fits)
		return true;
	if (fits < 1) {
		fprintf(stderr,
		    "%s: only %" PRId64 " files may be open (ulimit -Hn); %d "
		    "are needed at least\n",
		    program, (int64_t)limit.rlim_cur,
		    NOFILE_BESIDES + (int)each);
		return false;
	}
	log_warn("nofile.few",
	    "limit=%" PRId64 " (ulimit -Hn) needed=%" PRId64
	    ": %s lowered from %" PRId64 " to %" PRId64,
	    (int64_t)limit.rlim_cur, *n * each + NOFILE_BESIDES, option, *n,
	    fits);
	*n = fits;
	return true;
}
