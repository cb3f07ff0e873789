/*
 * dispatch_rows - what the dispatcher's looks bring, on its way into the plan.
 */
#ifndef SCHEDULER_DISPATCH_ROWS_H
#define SCHEDULER_DISPATCH_ROWS_H

#include <sluice/db.h>

#include "dispatch.h"

/* Statement s is dispatch_config(), the next one dispatch_cells(). */
void rows_config(struct dispatch *d, const struct db_result *res, int s);
/* live_open() */
void rows_live_open(
    struct dispatch *d, const struct db_result *res, int s, int64_t now_us);
/* dispatch_lanes(): the working set is exchanged. */
void rows_lanes(struct dispatch *d, const struct db_result *res, int s);
/* lane_lines() and lane_retries() of a lane. */
void rows_lines(
    struct dispatch *d, const struct db_result *res, int s, int64_t lane);
void rows_retries(
    struct dispatch *d, const struct db_result *res, int s, int64_t lane);

#endif
