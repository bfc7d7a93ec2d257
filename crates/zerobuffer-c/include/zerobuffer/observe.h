/* Looking at buffers from outside, and seeing the frames of a live stream. */
#ifndef ZEROBUFFER_OBSERVE_H
#define ZEROBUFFER_OBSERVE_H

#include "types.h"

#include <optional>
#include <string>
#include <vector>

namespace zerobuffer {

/* What can be seen of a buffer. */
struct BufferInfo {
    std::string name;
    std::uint64_t metadata_size = 0, ring_size = 0, free = 0, last_sequence = 0, frames_waiting = 0;
    std::uint64_t reader_pid = 0, writer_pid = 0;
    bool reader_alive = false, writer_alive = false;
};

namespace detail {

inline std::int32_t collect(void* user, const zb_info* info) {
    try {
        const auto get = [info](std::int32_t key) {
            std::uint64_t value = 0;
            (void)zb_info_get(info, key, &value);
            return value;
        };
        BufferInfo seen;
        seen.name = zb_info_name(info);
        seen.metadata_size = get(ZB_INFO_METADATA_SIZE);
        seen.ring_size = get(ZB_INFO_RING_SIZE);
        seen.free = get(ZB_INFO_FREE);
        seen.last_sequence = get(ZB_INFO_LAST_SEQUENCE);
        seen.frames_waiting = get(ZB_INFO_FRAMES_WAITING);
        seen.reader_pid = get(ZB_INFO_READER_PID);
        seen.writer_pid = get(ZB_INFO_WRITER_PID);
        seen.reader_alive = get(ZB_INFO_READER_ALIVE) != 0;
        seen.writer_alive = get(ZB_INFO_WRITER_ALIVE) != 0;
        static_cast<std::vector<BufferInfo>*>(user)->push_back(std::move(seen));
        return 0;
    } catch (...) {
        return 1;
    }
}

} // namespace detail

/* All buffers of this machine that may be read. */
inline std::vector<BufferInfo> list_buffers() {
    std::vector<BufferInfo> found;
    detail::check(zb_list(&detail::collect, &found), detail::End::reader);
    return found;
}

inline BufferInfo inspect_buffer(const std::string& name) {
    std::vector<BufferInfo> found;
    detail::check(zb_inspect(name.c_str(), &detail::collect, &found), detail::End::reader);
    return found.at(0);
}

/* A frame that a tap has copied, valid until the tap's next call. */
struct TapFrame {
    zerobuffer::span<const std::uint8_t> data;
    std::uint64_t sequence = 0;
};

/* Sees the frames of a live stream, and disturbs nothing. */
class Tap {
public:
    explicit Tap(const std::string& name) {
        detail::check_abi();
        detail::check(zb_tap_open(name.c_str(), &handle_), detail::End::reader);
    }
    Tap(Tap&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Tap& operator=(Tap&& other) noexcept {
        if (this != &other) {
            if (handle_) (void)zb_tap_close(handle_);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;
    ~Tap() {
        if (handle_) (void)zb_tap_close(handle_);
    }

    /* The next frame, unless none came. Throws ReaderDeadException once the buffer has ended. */
    template <typename Rep, typename Period>
    std::optional<TapFrame> next(std::chrono::duration<Rep, Period> timeout) {
        return look(&zb_tap_next, detail::ns(timeout));
    }
    template <typename Rep, typename Period>
    std::optional<TapFrame> latest(std::chrono::duration<Rep, Period> timeout) {
        return look(&zb_tap_latest, detail::ns(timeout));
    }

private:
    template <typename Call> std::optional<TapFrame> look(Call call, std::int64_t timeout) {
        const void* data = nullptr;
        std::size_t size = 0;
        TapFrame frame;
        const zb_status status = call(handle_, timeout, &data, &size, &frame.sequence);
        if (status == ZB_TIMEOUT) return std::nullopt;
        detail::check(status, detail::End::reader);
        frame.data = {static_cast<const std::uint8_t*>(data), size};
        return frame;
    }

    zb_tap* handle_ = nullptr;
};

} // namespace zerobuffer

#endif
