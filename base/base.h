/* The one umbrella: what almost every file of the house needs. */
#ifndef HSR_BASE_BASE_H
#define HSR_BASE_BASE_H

#include "base/assert.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/prng.h"
#include "base/queue.h"
#include "base/span.h"
#include "base/util.h"

#endif
