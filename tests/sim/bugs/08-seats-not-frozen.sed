# file: tests/sim/store_runs.c
# profile: chaos
# The seats of a dead worker are free at once, its calls are not over.
s/s->now + s->sc.whole_us;/1;/
