/* The include name of the existing C++ implementation, and what programs use of it. */
#ifndef ZEROBUFFER_PLATFORM_H
#define ZEROBUFFER_PLATFORM_H

#include "types.h"

#ifdef _WIN32
#include <process.h>
#else
#include <cerrno>
#include <csignal>
#include <unistd.h>
#endif

namespace zerobuffer {
namespace platform {

inline std::uint64_t get_current_pid() {
#ifdef _WIN32
    return static_cast<std::uint64_t>(_getpid());
#else
    return static_cast<std::uint64_t>(getpid());
#endif
}

#ifndef _WIN32
inline bool process_exists(std::uint64_t pid) {
    return pid != 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}
#endif

inline std::size_t align_to_boundary(std::size_t size, std::size_t alignment) {
    return (size + alignment - 1) / alignment * alignment;
}

} // namespace platform
} // namespace zerobuffer

#endif
