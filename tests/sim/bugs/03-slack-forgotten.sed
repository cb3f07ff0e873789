# file: scheduler/pace.c
# profile: calm
# Lines follow each other at window / amount, with nothing for lateness.
/^pace_slack_us/,/^}/s/return p->late_us + p->jitter_us/return p->late_us/
