# file: scheduler/pace.c
# profile: chaos
# A refusal is noted, but nothing waits.
/^pace_earliest/,/^}/s/paused_us/next_us/g
/^pace_refused/,/^}/s/p->paused_us = now_us + wait_us;/;/
