#include "cluster_files.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include <sluice/buf.h>

#include "state.h"

/* Read by PostgreSQL's user; nothing in them is secret. */
enum { CLUSTER_FILE_MODE = 0644 };

static const char hba[] = "# Written by `sluice up` at each start.\n"
			  "local all all peer map=sluice\n";

static const char settings[] =
    "# Settings of Sluice's private PostgreSQL.  `sluice up` wrote this once;\n"
    "# it is yours to change, and takes effect when `up` is started again.\n"
    "# Where it listens, and who may connect, is `up`'s to say.\n"
    "\n"
    "shared_buffers = 128MB\n"
    "max_wal_size = 2GB\n"
    "max_connections = 100\n"
    "jit = off                              # short statements only\n"
    "dynamic_shared_memory_type = mmap      # /dev/shm may be small or "
    "missing\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "lc_messages = 'C'\n"
    "log_line_prefix = '%m [%p] %q%u '\n"
    "log_checkpoints = off\n";

/* The system's users that may be each of the database's. */
static void
add_users(struct buf *to, const char *user)
{
	static const char *const roles[] = { "sluice", "sluice_api",
		"sluice_worker", "sluice_reader" };

	for (size_t i = 0; i < NITEMS(roles); i++)
		buf_addf(to, "sluice \"%s\" %s\n", user, roles[i]);
}

enum slc_rc
cluster_files_write(const char *dir, const char *owner, struct slc_err *err)
{
	const struct passwd *caller = getpwuid(getuid());
	struct buf path = { 0 }, ident = { 0 };
	enum slc_rc rc;

	buf_adds(&ident, "# Written by `sluice up` at each start.\n");
	add_users(&ident, owner);
	add_users(&ident, "root");
	if (caller != NULL && strcmp(caller->pw_name, owner) != 0 &&
	    strcmp(caller->pw_name, "root") != 0)
		add_users(&ident, caller->pw_name);
	rc = state_write(state_path(dir, "ident.conf", &path), buf_cstr(&ident),
	    CLUSTER_FILE_MODE, err);
	if (rc == SLC_OK)
		rc = state_write(state_path(dir, "hba.conf", &path), hba,
		    CLUSTER_FILE_MODE, err);
	if (rc == SLC_OK &&
	    access(state_path(dir, "postgres.conf", &path), F_OK) != 0)
		rc = state_write(
		    buf_cstr(&path), settings, CLUSTER_FILE_MODE, err);
	buf_fini(&path);
	buf_fini(&ident);
	return rc;
}
