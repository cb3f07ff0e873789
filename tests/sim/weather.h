/*
 * weather - what comes from outside: batches, deaths, stops, bad upstreams.
 */
#ifndef SIM_WEATHER_H
#define SIM_WEATHER_H

#include "sim.h"

void weather_start(struct sim *s);

#endif
