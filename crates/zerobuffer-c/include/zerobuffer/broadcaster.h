/* One source, many subscribers: Reader::subscribe is the other end. */
#ifndef ZEROBUFFER_BROADCASTER_H
#define ZEROBUFFER_BROADCASTER_H

#include "types.h"

#include <string>
#include <utility>
#include <vector>

namespace zerobuffer {

/* What becomes of a frame for which a subscriber's ring has no room. */
class SlowPolicy {
public:
    /* The subscriber misses the frame, which is counted. */
    static SlowPolicy drop() noexcept { return SlowPolicy(ZB_SLOW_DROP); }
    /* The subscriber is disconnected, until it creates its buffer anew. */
    static SlowPolicy disconnect() noexcept { return SlowPolicy(ZB_SLOW_DISCONNECT); }
    /* It is waited for so long, once all others have the frame. */
    template <typename Rep, typename Period> static SlowPolicy block(std::chrono::duration<Rep, Period> time) {
        const std::int64_t ns = detail::ns(time);
        return SlowPolicy(ns < 0 ? INT64_MAX : ns);
    }
    std::int64_t value() const noexcept { return value_; }

private:
    explicit SlowPolicy(std::int64_t value) noexcept : value_(value) {}
    std::int64_t value_;
};

struct BroadcastConfig {
    SlowPolicy policy = SlowPolicy::drop();
    /* Those of some subscribers, by what stands behind the @ in the names of their buffers; a * at
     * the end stands for anything. The first that fits counts. */
    std::vector<std::pair<std::string, SlowPolicy>> policies;
    /* How many subscribers are connected at once. */
    std::uint32_t max_subscribers = 64;
};

/* Where one frame has gone. */
struct Delivery {
    std::size_t sent = 0;
    std::size_t missed = 0;
};

/* One connected subscriber, and what it has got. */
struct Subscriber {
    std::string buffer;
    /* What keeps it from getting everything; empty: nothing. */
    std::string problem;
    std::uint64_t frames = 0, bytes = 0, missed = 0, waits = 0;
};

/* Sends a stream to any number of subscribers, each of which has a buffer of its own. One that is
 * slow, stopped or killed does not delay the others. */
class Broadcaster {
public:
    explicit Broadcaster(const std::string& name, const BroadcastConfig& config = BroadcastConfig())
        : name_(name) {
        detail::check_abi();
        detail::Options options;
        options.set(ZB_SLOW, config.policy.value());
        options.set(ZB_MAX_SUBSCRIBERS, config.max_subscribers);
        for (const auto& own : config.policies)
            check(zb_options_slow(options.writable(), own.first.c_str(), own.second.value()));
        check(zb_broadcaster_new(name.c_str(), options.get(), &handle_));
    }
    Broadcaster(Broadcaster&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), name_(std::move(other.name_)) {}
    Broadcaster& operator=(Broadcaster&& other) noexcept {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
            name_ = std::move(other.name_);
        }
        return *this;
    }
    Broadcaster(const Broadcaster&) = delete;
    Broadcaster& operator=(const Broadcaster&) = delete;
    ~Broadcaster() { close(); }

    const std::string& name() const noexcept { return name_; }

    /* May be called again: a subscriber sees other metadata with the first frame behind them. */
    void set_metadata(const void* data, std::size_t size) {
        check(zb_broadcaster_set_metadata(handle_, data, size));
    }
    /* Copies one frame to each subscriber. */
    Delivery write_frame(const void* data, std::size_t size) {
        Delivery delivery;
        check(zb_broadcaster_write(handle_, data, size, &delivery.sent, &delivery.missed));
        return delivery;
    }
    Delivery write_frame(zerobuffer::span<const std::uint8_t> data) {
        return write_frame(data.data(), data.size());
    }
    Delivery write_frame(const std::vector<std::uint8_t>& data) {
        return write_frame(data.data(), data.size());
    }
    /* Waits until there are so many; false: there are not in time. */
    template <typename Rep, typename Period>
    bool wait_for_subscribers(std::size_t count, std::chrono::duration<Rep, Period> timeout) {
        const zb_status status = zb_broadcaster_wait_for_subscribers(handle_, count, detail::ns(timeout));
        if (status != ZB_TIMEOUT) check(status);
        return status == ZB_OK;
    }

    /* Any thread. */
    std::vector<Subscriber> subscribers() const {
        std::vector<Subscriber> found;
        check(zb_broadcaster_subscribers(handle_, &Broadcaster::add, &found));
        return found;
    }
    /* For instance ZB_STAT_SENT. Any thread. */
    std::uint64_t stat(std::int32_t key) const {
        std::uint64_t value = 0;
        check(zb_broadcaster_stat(handle_, key, &value));
        return value;
    }
    /* Ends the blocked call of another thread, and later ones, with ClosedException. Any thread. */
    void interrupt() { check(zb_broadcaster_interrupt(handle_)); }
    /* What the destructor does. */
    void close() noexcept {
        if (handle_) (void)zb_broadcaster_close(handle_);
        handle_ = nullptr;
    }
    zb_broadcaster* handle() const noexcept { return handle_; }

private:
    static void check(zb_status status) { detail::check(status, detail::End::reader); }
    static std::int32_t add(void* user, const zb_subscriber* subscriber) noexcept {
        try {
            Subscriber one;
            if (const char* buffer = zb_subscriber_buffer(subscriber)) one.buffer = buffer;
            if (const char* problem = zb_subscriber_problem(subscriber)) one.problem = problem;
            (void)zb_subscriber_stat(subscriber, ZB_STAT_FRAMES, &one.frames);
            (void)zb_subscriber_stat(subscriber, ZB_STAT_BYTES, &one.bytes);
            (void)zb_subscriber_stat(subscriber, ZB_STAT_LOST, &one.missed);
            (void)zb_subscriber_stat(subscriber, ZB_STAT_WAITS, &one.waits);
            static_cast<std::vector<Subscriber>*>(user)->push_back(std::move(one));
            return 0;
        } catch (...) {
            return 1;
        }
    }

    zb_broadcaster* handle_ = nullptr;
    std::string name_;
};

} // namespace zerobuffer

#endif
