/*
 * cluster_files - what the private PostgreSQL obeys: who may connect (written
 * anew at each start) and its settings (written once, the operator's since).
 */
#ifndef CLI_CLUSTER_FILES_H
#define CLI_CLUSTER_FILES_H

#include <sluice/slc.h>

/* dir: the state directory; owner: the user who runs PostgreSQL. */
enum slc_rc
cluster_files_write(const char *dir, const char *owner, struct slc_err *err);

#endif
