/* The include name of the existing C++ implementation. */
#ifndef ZEROBUFFER_ALL_H
#define ZEROBUFFER_ALL_H

#include "../zerobuffer.hpp"

#endif
