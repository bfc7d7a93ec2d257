/* The library's log. The existing implementation has it from Boost; these are its names. */
#ifndef ZEROBUFFER_LOGGER_H
#define ZEROBUFFER_LOGGER_H

#include "exceptions.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

namespace zerobuffer {

enum severity_level { trace, debug, info, warning, error, fatal };

inline std::ostream& operator<<(std::ostream& stream, severity_level level) {
    static const char* const names[] = {"TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"};
    return stream << (level >= trace && level <= fatal ? names[level] : "?");
}

namespace detail {

inline severity_level& least_level() {
    static severity_level level = fatal;
    return level;
}

inline void log_line(severity_level level, const std::string& text) {
    if (level < least_level()) return;
    std::ostringstream line;
    line << "[" << level << "] " << text << "\n";
    std::clog << line.str();
}

inline void from_library(void*, std::int32_t level, const char* text) {
    try {
        log_line(level == ZB_LOG_ERROR   ? error
                 : level == ZB_LOG_WARN  ? warning
                 : level == ZB_LOG_INFO  ? info
                                         : debug,
                 text);
    } catch (...) {
    }
}

} // namespace detail

/* Shows the library's log, and that of ZEROBUFFER_LOG_INFO and the like, on std::clog. Before other
 * threads use the library. */
inline void init_logging(severity_level least = info) {
    detail::least_level() = least;
    const std::int32_t level = least <= debug    ? ZB_LOG_DEBUG
                               : least == info    ? ZB_LOG_INFO
                               : least == warning ? ZB_LOG_WARN
                                                  : ZB_LOG_ERROR;
    (void)zb_set_log(&detail::from_library, nullptr, level);
}

namespace detail {

/* One line of a program's own. */
class LogLine {
public:
    LogLine(severity_level level, const std::string& channel) : level_(level) { text_ << "[" << channel << "] "; }
    ~LogLine() {
        try {
            log_line(level_, text_.str());
        } catch (...) {
        }
    }
    template <typename T> LogLine& operator<<(const T& value) {
        text_ << value;
        return *this;
    }

private:
    severity_level level_;
    std::ostringstream text_;
};

} // namespace detail
} // namespace zerobuffer

#define ZEROBUFFER_LOG_TRACE(channel) ::zerobuffer::detail::LogLine(::zerobuffer::trace, channel)
#define ZEROBUFFER_LOG_DEBUG(channel) ::zerobuffer::detail::LogLine(::zerobuffer::debug, channel)
#define ZEROBUFFER_LOG_INFO(channel) ::zerobuffer::detail::LogLine(::zerobuffer::info, channel)
#define ZEROBUFFER_LOG_WARNING(channel) ::zerobuffer::detail::LogLine(::zerobuffer::warning, channel)
#define ZEROBUFFER_LOG_ERROR(channel) ::zerobuffer::detail::LogLine(::zerobuffer::error, channel)
#define ZEROBUFFER_LOG_FATAL(channel) ::zerobuffer::detail::LogLine(::zerobuffer::fatal, channel)

#endif
