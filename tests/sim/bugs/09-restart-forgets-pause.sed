# file: scheduler/dispatch_conf.c
# profile: chaos
# The next dispatcher does not know of the wait.
s/r->pace.paused_us = conf->paused_us;/;/
