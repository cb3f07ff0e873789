# file: worker/outcome.c
# profile: chaos
# Being throttled uses up attempts.
s/^\tout->kind = OUTCOME_REFUSED;/\ttry_again(in, out, "throttled");/
