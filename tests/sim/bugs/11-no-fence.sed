# file: tests/sim/store_doc.c
# profile: chaos
# A deposed dispatcher may still write.
/^store_commit/,/^}/s/st->epoch != epoch/false/
