/* ZeroBuffer for C++17: header-only, over zerobuffer.h.
 *
 * The classes, methods and exceptions bear the names of the existing C++ implementation, so its
 * programs compile with this header, without Boost. Everything is move-only and frees itself.
 * What fails throws: ZeroBufferException is the base of all. An object belongs to one thread at a
 * time, unless a method says otherwise. */
#ifndef ZEROBUFFER_HPP
#define ZEROBUFFER_HPP

#include "zerobuffer/types.h"

#include "zerobuffer/broadcaster.h"
#include "zerobuffer/newest.h"
#include "zerobuffer/reader.h"
#include "zerobuffer/writer.h"

#include "zerobuffer/duplex_channel.h"
#include "zerobuffer/duplex_channel_factory.h"
#include "zerobuffer/duplex_client.h"
#include "zerobuffer/immutable_duplex_server.h"
#include "zerobuffer/mutable_duplex_server.h"

#include "zerobuffer/logger.h"
#include "zerobuffer/observe.h"

#endif
