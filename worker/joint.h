/*
 * joint - one call for several lines: its body, and its answer in parts.
 *
 * Pure.  The bodies are such that combine.h lets share a call; values are the
 * texts of theirs, in their order.
 */
#ifndef WORKER_JOINT_H
#define WORKER_JOINT_H

#include <sluice/buf.h>
#include <sluice/slc.h>

/* Bytes beside the list of an answer, in all parts: each has them. */
enum { JOINT_BESIDE_MAX = 32 << 20 };

/* Append body with all values in a list in the place of its own. */
void joint_body(struct slice body, struct slice value,
    const struct slice *values, size_t n, struct buf *out);

/*
 * An answer of 2xx to the body above: append to parts[i] what line i would have
 * got if it had been called alone, and share out the usage.  Bytes stay as they
 * came but for the line's index, which becomes 0, and whole numbers in usage:
 * those of a part add up to the call's, by the length of values, those of
 * output (completion_tokens and its details) by the length of the texts.  A
 * fraction or a text in usage (a cost, say) is the call's in each.
 * usages[i] gets an object with the usage of parts[i] alone.  False when not
 * each line has exactly one part, known by its index, or when there is more
 * than JOINT_BESIDE_MAX beside them: nothing is appended then.
 */
bool joint_split(struct slice answer, const char *endpoint,
    const struct slice *values, size_t n, struct buf *parts,
    struct buf *usages);

/* Parts of whole (not negative) by weights (some of them more than 0), by
 * largest remainder: they add up to it. */
void
joint_share(int64_t whole, const size_t *weights, size_t n, int64_t *parts);

#endif
