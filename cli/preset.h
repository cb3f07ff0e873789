/*
 * preset - bundles of settings that fit a provider's published limits.
 *
 * Pure.  A preset is {name, about, source, as_of, dialect, charge,
 * stream_cost, headroom, limits: [...], needs: ["requests/1h", ...]}; needs are
 * limits whose amounts the source does not state ("any": at least one).  It is
 * expanded into the document of a path and leaves no other trace.
 */
#ifndef CLI_PRESET_H
#define CLI_PRESET_H

#include <jansson.h>

#include <sluice/embedded.h>
#include <sluice/slc.h>

/*
 * All presets of the files, in order, as {object: "list", data: [...]}, each
 * checked in full; the caller's.
 */
enum slc_rc
preset_all(const struct embedded *files, json_t **out, struct slc_err *err);

/* One of them, borrowed; NULL: there is none of that name. */
const json_t *preset_find(const json_t *all, const char *name);

/*
 * Set what the path's document leaves open: settings, and limits one by one.
 * Refused if a limit that the preset needs is missing; a path that names a pool
 * may have it there.
 */
enum slc_rc
preset_expand(const json_t *preset, json_t *path, struct slc_err *err);

#endif
