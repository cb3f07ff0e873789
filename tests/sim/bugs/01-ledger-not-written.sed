# file: scheduler/dispatch_write.c
# profile: chaos
# What was granted is forgotten with the dispatcher.
s/doc_item(out, "cells", &open);/continue;/
