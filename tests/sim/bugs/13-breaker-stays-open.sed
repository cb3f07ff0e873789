# file: scheduler/breaker.c
# profile: chaos
# An answer does not bring a path back.
s/ok > 0 \&\& b->health != BREAKER_UP/ok > 1000000/
