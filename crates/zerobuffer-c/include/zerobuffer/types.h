/* Frames, configurations, and the structures of the protocol. */
#ifndef ZEROBUFFER_TYPES_H
#define ZEROBUFFER_TYPES_H

#include "../zerobuffer.h"
#include "exceptions.h"
#include "span.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace zerobuffer {

constexpr std::size_t BLOCK_ALIGNMENT = 64;

/* The protocol's version. */
struct ProtocolVersion {
    std::uint8_t major, minor, patch, reserved;

    constexpr ProtocolVersion(std::uint8_t first = 1, std::uint8_t second = 0, std::uint8_t third = 0) noexcept
        : major(first), minor(second), patch(third), reserved(0) {}

    bool is_compatible_with(const ProtocolVersion& other) const noexcept { return major == other.major; }
};

/* The control block at the start of a buffer (PROTOCOL.md), for those who look at bytes. */
struct OIEB {
    std::uint32_t oieb_size;
    ProtocolVersion version;
    std::uint64_t metadata_size, metadata_free_bytes, metadata_written_bytes;
    std::uint64_t payload_size, payload_free_bytes, payload_write_pos, payload_read_pos;
    std::uint64_t payload_written_count, payload_read_count;
    std::uint64_t writer_pid, reader_pid;
    std::uint64_t reserved[4];
};
static_assert(sizeof(ProtocolVersion) == 4 && sizeof(OIEB) == 128, "as the protocol has them");

/* What precedes a frame's payload. */
struct FrameHeader {
    std::uint64_t payload_size, sequence_number;
};

/* Sizes of a buffer, in bytes. */
struct BufferConfig {
    std::size_t metadata_size;
    std::size_t payload_size;
    /* Permission bits, 0660 for a group; -1: 0600, or what ZEROBUFFER_MODE says. */
    int mode = -1;

    BufferConfig(std::size_t metadata = 1024, std::size_t payload = 1024 * 1024)
        : metadata_size(metadata), payload_size(payload) {}
};

namespace detail {

/* A time in ns; a century and more is for ever, less than nothing is nothing. */
template <typename Rep, typename Period> std::int64_t ns(std::chrono::duration<Rep, Period> time) {
    const double seconds = std::chrono::duration<double>(time).count();
    if (seconds > 3.2e9) return -1;
    if (!(seconds > 0)) return 0;
    return std::chrono::duration_cast<std::chrono::duration<std::int64_t, std::nano>>(time).count();
}

/* Options for one call. */
class Options {
public:
    Options() { check(zb_options_new(&options_), End::writer); }
    ~Options() { (void)zb_options_free(options_); }
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    void set(std::int32_t key, std::int64_t value) { check(zb_options_set(options_, key, value), End::writer); }
    void set(const BufferConfig& config) {
        set(ZB_RING_SIZE, static_cast<std::int64_t>(config.payload_size));
        set(ZB_METADATA_SIZE, static_cast<std::int64_t>(config.metadata_size));
        if (config.mode >= 0) set(ZB_MODE, config.mode);
    }
    const zb_options* get() const { return options_; }
    zb_options* writable() { return options_; }

private:
    zb_options* options_ = nullptr;
};

} // namespace detail

/* A received frame: a view of shared memory, whose space is returned when it is released or
 * destroyed. It may outlive its reader and move to another thread. */
class Frame {
public:
    Frame() noexcept = default;
    /* Takes over what a call of the C library gave. */
    explicit Frame(zb_frame* frame) noexcept : handle_(frame) {
        (void)zb_frame_get(frame, &data_, &size_, &sequence_);
    }
    Frame(zb_frame* frame, void* data, std::size_t size, std::uint64_t sequence) noexcept
        : handle_(frame), data_(data), size_(size), sequence_(sequence) {}
    Frame(Frame&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)), sequence_(std::exchange(other.sequence_, 0)) {}
    Frame& operator=(Frame&& other) noexcept {
        if (this != &other) {
            release();
            handle_ = std::exchange(other.handle_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
            sequence_ = std::exchange(other.sequence_, 0);
        }
        return *this;
    }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    ~Frame() { release(); }

    const void* data() const noexcept { return data_; }
    /* To be changed in place; the writer never looks at it again. */
    void* data() noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::uint64_t sequence() const noexcept { return sequence_; }
    /* False for the frame of a time-out, and after the release. */
    bool valid() const noexcept { return data_ != nullptr; }
    bool is_valid() const noexcept { return valid(); }
    explicit operator bool() const noexcept { return valid(); }

    zerobuffer::span<const std::uint8_t> bytes() const noexcept {
        return {static_cast<const std::uint8_t*>(data_), data_ ? size_ : 0};
    }
    zerobuffer::span<std::uint8_t> bytes() noexcept {
        return {static_cast<std::uint8_t*>(data_), data_ ? size_ : 0};
    }
    const std::uint8_t* begin() const noexcept { return static_cast<const std::uint8_t*>(data_); }
    const std::uint8_t* end() const noexcept { return begin() + (data_ ? size_ : 0); }

    /* Returns the frame's space now; size and number stay. */
    void release() const noexcept {
        if (handle_) (void)zb_frame_release(handle_);
        handle_ = nullptr;
        data_ = nullptr;
    }
    /* Gives the handle away. */
    zb_frame* detach() noexcept {
        data_ = nullptr;
        return std::exchange(handle_, nullptr);
    }

private:
    mutable zb_frame* handle_ = nullptr;
    mutable void* data_ = nullptr;
    std::size_t size_ = 0;
    std::uint64_t sequence_ = 0;
};

} // namespace zerobuffer

#endif
