/*
 * tests/bench/bench.h - what the benchmarks share: a clock, order statistics and the rows
 * that `make bench` keeps.
 *
 * Everything that is compared is measured in the same run, round by round in turn, so that
 * a busy machine slows all sides alike; what is reported are medians and their ratio.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 101 /* of everything that is compared */
#define ROWS_FD 3  /* tests/bench/run opens it: one JSON object a line */

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts; `share` of the values are at most the result. */
static inline double quantile(double *values, size_t n, double share)
{
	qsort(values, n, sizeof(values[0]), by_value);
	return values[(size_t)(share * (double)(n - 1) + 0.5)];
}

static inline double median(double *values, size_t n)
{
	return quantile(values, n, 0.5);
}

/* What engine.c notes of itself, in order; each step is named by its end. */
enum stamp { BEGUN, PLANNED, LIMITED, CREATED, STARTED, GONE, ENDED, STAMPS };

/* One row of build/bench/NAME.json. Names are ours: nothing in them needs escaping. */
static inline void row(const char *bench, const char *name, double value, const char *unit,
		       const char *against, double against_value)
{
	dprintf(ROWS_FD,
		"{\"bench\":\"%s\",\"case\":\"%s\",\"value\":%.4f,\"unit\":\"%s\","
		"\"better\":\"lower\",\"against\":\"%s\",\"against_value\":%.4f,"
		"\"ratio\":%.3f}\n",
		bench, name, value, unit, against, against_value, value / against_value);
}

static inline _Noreturn void die(const char *what)
{
	perror(what);
	exit(3);
}
