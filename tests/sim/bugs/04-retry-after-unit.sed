# file: lib/dialect.c
# profile: chaos
# Retry-After is read as milliseconds.
s/dialect_decimal_ms(v, 1000, ms)/dialect_decimal_ms(v, 1, ms)/
