/* The writing end. */
#ifndef ZEROBUFFER_WRITER_H
#define ZEROBUFFER_WRITER_H

#include "reader.h"
#include "types.h"

#include <string>
#include <vector>

namespace zerobuffer {

/* Behaviour of a writer. */
struct WriterConfig {
    /* How long to wait for the reader to create the buffer. */
    std::chrono::milliseconds connect_timeout{0};
    /* How long one write waits for room. */
    std::chrono::milliseconds write_timeout{5000};
    /* ZB_FULL_BLOCK, ZB_FULL_REFUSE or ZB_FULL_DROP. */
    std::int64_t full_ring = ZB_FULL_BLOCK;
    /* ZB_OWNER_TRUSTED, ZB_OWNER_ANY or the number of a user. */
    std::int64_t owner = ZB_OWNER_TRUSTED;
    bool whole_ring = false;
};

/* Connects to a reader's buffer and puts frames into it. */
class Writer {
public:
    explicit Writer(const std::string& name, const WriterConfig& config = WriterConfig())
        : name_(name), timeout_(config.write_timeout) {
        detail::check_abi();
        detail::Options options;
        options.set(ZB_CONNECT_TIMEOUT, detail::ns(config.connect_timeout));
        options.set(ZB_WRITE_TIMEOUT, detail::ns(config.write_timeout));
        options.set(ZB_FULL_RING, config.full_ring);
        options.set(ZB_OWNER, config.owner);
        options.set(ZB_WHOLE_RING, config.whole_ring);
        detail::check(zb_writer_connect(name.c_str(), options.get(), &handle_), detail::End::reader);
    }
    /* Answers one request; valid as long as its handler runs. */
    explicit Writer(zb_responder* responder) : responder_(responder) {}
    Writer(Writer&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), responder_(std::exchange(other.responder_, nullptr)),
          name_(std::move(other.name_)), timeout_(other.timeout_), pending_(other.pending_),
          metadata_(std::move(other.metadata_)), written_(other.written_), bytes_(other.bytes_) {}
    Writer& operator=(Writer&& other) noexcept {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
            responder_ = std::exchange(other.responder_, nullptr);
            name_ = std::move(other.name_);
            timeout_ = other.timeout_;
            pending_ = other.pending_;
            metadata_ = std::move(other.metadata_);
            written_ = other.written_;
            bytes_ = other.bytes_;
        }
        return *this;
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { close(); }

    const std::string& name() const noexcept { return name_; }

    /* Once per writer. */
    void set_metadata(const void* data, std::size_t size) {
        check(zb_writer_set_metadata(handle_, data, size));
    }
    void set_metadata(const std::vector<std::uint8_t>& data) { set_metadata(data.data(), data.size()); }
    /* Room for the metadata, which commit_metadata writes. */
    void* get_metadata_buffer(std::size_t size) {
        metadata_.resize(size);
        return metadata_.data();
    }
    void commit_metadata() { set_metadata(metadata_); }

    /* Copies one frame into the ring. False: the ring was full and the policy drops. */
    bool write_frame(const void* data, std::size_t size) {
        const zb_status status = responder_ ? zb_responder_write(responder_, data, size)
                                            : zb_writer_write(handle_, data, size, nullptr);
        if (status == ZB_DROPPED) return false;
        check(status);
        written_ += 1;
        bytes_ += size;
        return true;
    }
    bool write_frame(const std::vector<std::uint8_t>& data) { return write_frame(data.data(), data.size()); }

    /* Ring memory for one frame, which commit_frame publishes; another write gives it up. */
    void* get_frame_buffer(std::size_t size, std::uint64_t& sequence_number) {
        void* data = nullptr;
        if (responder_) {
            sequence_number = zb_responder_sequence(responder_);
            check(zb_responder_loan(responder_, size, &data));
        } else {
            check(zb_writer_loan(handle_, size, &data));
            check(zb_writer_next_sequence(handle_, &sequence_number));
        }
        pending_ = size;
        return data;
    }
    void* get_frame_buffer(std::size_t size) {
        std::uint64_t sequence = 0;
        return get_frame_buffer(size, sequence);
    }
    void commit_frame() { commit_frame(pending_); }
    /* Publishes the first bytes of it only. */
    void commit_frame(std::size_t size) {
        check(responder_ ? zb_responder_commit(responder_, size) : zb_writer_commit(handle_, size, nullptr));
        written_ += 1;
        bytes_ += size;
    }
    void abort_frame() {
        const zb_status status = responder_ ? zb_responder_abort(responder_) : zb_writer_abort(handle_);
        if (status != ZB_NONE) check(status);
    }

    void set_write_timeout(std::chrono::milliseconds timeout) {
        if (handle_) check(zb_writer_set_write_timeout(handle_, detail::ns(timeout)));
        timeout_ = timeout;
    }
    std::chrono::milliseconds get_write_timeout() const noexcept { return timeout_; }

    /* Copies one frame into the ring; false: there is no room now, or the policy drops. */
    bool try_write_frame(const void* data, std::size_t size) {
        if (responder_) return write_frame(data, size);
        const zb_status status = zb_writer_try_write(handle_, data, size, nullptr);
        if (status == ZB_FULL || status == ZB_DROPPED) return false;
        check(status);
        return true;
    }
    /* For an event loop: readable when try_write_frame may succeed. Linux only. */
    int event_fd() {
        std::int32_t descriptor = -1;
        check(zb_writer_event_fd(handle_, &descriptor));
        return descriptor;
    }

    /* Any thread. */
    bool is_reader_connected() const { return responder_ || zb_writer_has_reader(handle_) == ZB_OK; }
    std::uint64_t frames_written() const { return responder_ ? written_ : stat(ZB_STAT_FRAMES); }
    std::uint64_t bytes_written() const { return responder_ ? bytes_ : stat(ZB_STAT_BYTES); }
    std::uint64_t stat(std::int32_t key) const {
        std::uint64_t value = 0;
        check(zb_writer_stat(handle_, key, &value));
        return value;
    }

    /* Ends the blocked call of another thread, and later ones, with ClosedException. Any thread. */
    void interrupt() { check(zb_writer_interrupt(handle_)); }
    void resume() { check(zb_writer_resume(handle_)); }
    /* What the destructor does. */
    void close() noexcept {
        if (handle_) (void)zb_writer_close(handle_);
        handle_ = nullptr;
        responder_ = nullptr;
    }
    zb_writer* handle() const noexcept { return handle_; }

private:
    static void check(zb_status status) { detail::check(status, detail::End::reader); }

    zb_writer* handle_ = nullptr;
    zb_responder* responder_ = nullptr;
    std::string name_;
    std::chrono::milliseconds timeout_{5000};
    std::size_t pending_ = 0;
    std::vector<std::uint8_t> metadata_;
    std::uint64_t written_ = 0, bytes_ = 0;
};

} // namespace zerobuffer

#endif
