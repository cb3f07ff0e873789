# file: scheduler/dispatch_read.c
# profile: seats
# Each line gives its reservation back two times.
s/^\t\tdispatch_settle(d, seen.path, seen.model, &e);/&\n&/
