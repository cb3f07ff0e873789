# file: scheduler/ledger.c
# profile: chaos
# The ledger lets one more in, the grid seldom shows it.
s/counted + units <= amount/counted + units <= amount + 1/
