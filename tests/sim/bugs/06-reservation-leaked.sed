# file: scheduler/pace.c
# profile: tokens
# What a line cost is added, what was reserved for it stays.
/^pace_settle/,/^}/s/ledger_add(&p->ledger, recorded_us, -units);/;/
