# file: scheduler/ledger.c
# profile: chaos
# A dispatcher that takes over begins with empty books.
/^ledger_load/,/^}/s/c->units = units;/c->units = 0;/
