/* The reading end for a consumer that is slower than its writer. */
#ifndef ZEROBUFFER_NEWEST_H
#define ZEROBUFFER_NEWEST_H

#include "types.h"

#include <optional>
#include <string>

namespace zerobuffer {

/* Creates a buffer and always has its newest frame: a thread takes all others out of the ring, so a
 * slow consumer never stops the writer. A frame is a copy, and holds no space of the ring. */
class Newest {
public:
    explicit Newest(const std::string& name, const BufferConfig& config = BufferConfig()) : name_(name) {
        detail::check_abi();
        detail::Options options;
        options.set(config);
        detail::check(zb_newest_create(name.c_str(), options.get(), &handle_), detail::End::writer);
    }
    Newest(Newest&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), name_(std::move(other.name_)),
          skipped_(other.skipped_) {}
    Newest& operator=(Newest&& other) noexcept {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
            name_ = std::move(other.name_);
            skipped_ = other.skipped_;
        }
        return *this;
    }
    Newest(const Newest&) = delete;
    Newest& operator=(const Newest&) = delete;
    ~Newest() { close(); }

    const std::string& name() const noexcept { return name_; }

    /* The newest frame that was not handed out yet; one that is not valid if none came in time.
     * Throws WriterDeadException as a Reader. */
    Frame read_frame() { return read_frame(std::chrono::seconds(5)); }
    template <typename Rep, typename Period> Frame read_frame(std::chrono::duration<Rep, Period> timeout) {
        return read_ns(detail::ns(timeout));
    }
    /* However long it takes. */
    Frame read() { return read_ns(-1); }
    std::optional<Frame> try_read() {
        Frame frame = read_ns(0);
        if (!frame) return std::nullopt;
        return frame;
    }
    /* How many frames were passed over for the last one. */
    std::uint64_t skipped() const noexcept { return skipped_; }

    /* For an event loop: readable when try_read may have something to say. Linux only. */
    int event_fd() {
        std::int32_t descriptor = -1;
        detail::check(zb_newest_event_fd(handle_, &descriptor), detail::End::writer);
        return descriptor;
    }
    /* Any thread. */
    bool is_writer_connected() const { return zb_newest_has_writer(handle_) == ZB_OK; }
    std::uint64_t stat(std::int32_t key) const {
        std::uint64_t value = 0;
        detail::check(zb_newest_stat(handle_, key, &value), detail::End::writer);
        return value;
    }
    /* Ends the blocked call of another thread, and later ones, with ClosedException. Any thread. */
    void interrupt() { detail::check(zb_newest_interrupt(handle_), detail::End::writer); }
    /* What the destructor does. */
    void close() noexcept {
        if (handle_) (void)zb_newest_close(handle_);
        handle_ = nullptr;
    }
    zb_newest* handle() const noexcept { return handle_; }

private:
    Frame read_ns(std::int64_t timeout) {
        zb_frame* frame = nullptr;
        std::uint64_t skipped = 0;
        const zb_status status = zb_newest_read(handle_, timeout, &frame, &skipped);
        if (status == ZB_TIMEOUT) return Frame();
        detail::check(status, detail::End::writer);
        skipped_ = skipped;
        return Frame(frame);
    }

    zb_newest* handle_ = nullptr;
    std::string name_;
    std::uint64_t skipped_ = 0;
};

} // namespace zerobuffer

#endif
