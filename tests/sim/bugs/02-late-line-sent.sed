# file: tests/sim/worker_send.c
# profile: calm
# A worker does not look at the clock before it sends.
s/return now <= line->not_after_us \&\& now < w->lease_us;/return now < w->lease_us;/
s/bool late = now > line->not_after_us,/bool late = false,/
s/rng_chance(&w->rng, 0.0005)/rng_chance(\&w->rng, 0.5)/
s/2 \* MS/500 * MS/
