/* The reading end. */
#ifndef ZEROBUFFER_READER_H
#define ZEROBUFFER_READER_H

#include "types.h"

#include <optional>
#include <string>
#include <vector>

namespace zerobuffer {

/* Creates a buffer, owns it, and takes frames out of it. */
class Reader {
public:
    explicit Reader(const std::string& name, const BufferConfig& config = BufferConfig()) : name_(name) {
        detail::check_abi();
        detail::Options options;
        options.set(config);
        detail::check(zb_reader_create(name.c_str(), options.get(), &handle_), detail::End::writer);
    }
    /* Subscribes to a broadcast: the buffer is name@SUBSCRIBER, under a name that is free. Its ring
     * is as large as that of the buffer `name`, where there is one. */
    static Reader subscribe(const std::string& name) {
        detail::Options options;
        return subscriber(name, options);
    }
    static Reader subscribe(const std::string& name, const BufferConfig& config) {
        detail::Options options;
        options.set(config);
        return subscriber(name, options);
    }
    Reader(Reader&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), name_(std::move(other.name_)),
          metadata_(std::move(other.metadata_)) {}
    Reader& operator=(Reader&& other) noexcept {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
            name_ = std::move(other.name_);
            metadata_ = std::move(other.metadata_);
        }
        return *this;
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { close(); }

    const std::string& name() const noexcept { return name_; }

    /* A copy of the metadata; empty if none were written. */
    std::vector<std::uint8_t> get_metadata() const {
        std::vector<std::uint8_t> data;
        std::size_t size = 0;
        zb_status status = zb_reader_metadata(handle_, nullptr, 0, &size);
        /* A next writer may replace them meanwhile. */
        while (status == ZB_OK && size > data.size()) {
            data.resize(size);
            status = zb_reader_metadata(handle_, data.data(), data.size(), &size);
        }
        if (status == ZB_NONE) return {};
        detail::check(status, detail::End::writer);
        data.resize(size);
        return data;
    }
    /* The same, kept by this object until the next call; nullptr if none were written. */
    const void* get_metadata_raw() const {
        metadata_ = get_metadata();
        return metadata_.empty() ? nullptr : metadata_.data();
    }
    template <typename T> const T* get_metadata_as() const {
        const void* data = get_metadata_raw();
        return metadata_.size() < sizeof(T) ? nullptr : static_cast<const T*>(data);
    }
    std::size_t get_metadata_size() const {
        std::size_t size = 0;
        const zb_status status = zb_reader_metadata(handle_, nullptr, 0, &size);
        if (status != ZB_OK && status != ZB_NONE) detail::raise(status, detail::End::writer);
        return size;
    }

    /* The next frame; one that is not valid if none came in time. Throws WriterDeadException once a
     * writer was here, is gone, and all its frames are read. */
    Frame read_frame() { return read_frame(std::chrono::seconds(5)); }
    template <typename Rep, typename Period> Frame read_frame(std::chrono::duration<Rep, Period> timeout) {
        return read_ns(detail::ns(timeout));
    }
    /* The next frame, however long it takes. */
    Frame read() { return read_ns(-1); }
    /* The next frame if it is there. */
    std::optional<Frame> try_read() {
        Frame frame = read_ns(0);
        if (!frame) return std::nullopt;
        return frame;
    }
    /* The newest frame that is there; those before it are passed over. */
    template <typename Rep, typename Period> Frame latest(std::chrono::duration<Rep, Period> timeout) {
        zb_frame* frame = nullptr;
        const zb_status status = zb_reader_latest(handle_, detail::ns(timeout), &frame, nullptr);
        return take(status, frame);
    }
    void release_frame(const Frame& frame) noexcept { frame.release(); }

    /* For an event loop: readable when try_read may have something to say. Linux only. */
    int event_fd() {
        std::int32_t descriptor = -1;
        detail::check(zb_reader_event_fd(handle_, &descriptor), detail::End::writer);
        return descriptor;
    }

    /* Any thread. */
    bool is_writer_connected() const { return zb_reader_has_writer(handle_) == ZB_OK; }
    /* Waits for a writer, so many milliseconds. */
    bool is_writer_connected(int timeout_ms) const {
        const std::int64_t ns = timeout_ms < 0 ? 0 : static_cast<std::int64_t>(timeout_ms) * 1000000;
        const zb_status status = zb_reader_wait_for_writer(handle_, ns);
        if (status != ZB_OK && status != ZB_TIMEOUT) detail::raise(status, detail::End::writer);
        return status == ZB_OK;
    }

    /* Any thread. */
    std::uint64_t frames_read() const { return stat(ZB_STAT_FRAMES); }
    std::uint64_t bytes_read() const { return stat(ZB_STAT_BYTES); }
    std::uint64_t stat(std::int32_t key) const {
        std::uint64_t value = 0;
        detail::check(zb_reader_stat(handle_, key, &value), detail::End::writer);
        return value;
    }

    /* Ends the blocked call of another thread, and later ones, with ClosedException. Any thread. */
    void interrupt() { detail::check(zb_reader_interrupt(handle_), detail::End::writer); }
    void resume() { detail::check(zb_reader_resume(handle_), detail::End::writer); }
    /* What the destructor does. */
    void close() noexcept {
        if (handle_) (void)zb_reader_close(handle_);
        handle_ = nullptr;
    }
    zb_reader* handle() const noexcept { return handle_; }

    /* for (Frame& frame : reader): until the writer has gone. */
    class iterator {
    public:
        iterator() = default;
        explicit iterator(Reader& reader) : reader_(&reader) { next(); }
        Frame& operator*() { return frame_; }
        iterator& operator++() {
            next();
            return *this;
        }
        bool operator!=(const iterator& other) const { return reader_ != other.reader_; }
        bool operator==(const iterator& other) const { return reader_ == other.reader_; }

    private:
        void next() {
            zb_frame* frame = frame_.detach();
            void* data = nullptr;
            std::size_t size = 0;
            std::uint64_t sequence = 0;
            /* It gives the last frame back. */
            const zb_status status = zb_reader_next(reader_->handle_, -1, &frame, &data, &size, &sequence);
            if (status == ZB_PEER_GONE)
                reader_ = nullptr;
            else if (status == ZB_OK)
                frame_ = Frame(frame, data, size, sequence);
            else
                detail::raise(status, detail::End::writer);
        }

        Reader* reader_ = nullptr;
        Frame frame_;
    };
    iterator begin() { return iterator(*this); }
    iterator end() { return iterator(); }

private:
    explicit Reader(zb_reader* handle) noexcept : handle_(handle) {}
    static Reader subscriber(const std::string& name, const detail::Options& options) {
        detail::check_abi();
        zb_reader* handle = nullptr;
        detail::check(zb_reader_subscribe(name.c_str(), options.get(), &handle), detail::End::writer);
        Reader reader(handle);
        std::size_t size = 0;
        char own[256] = "";
        detail::check(zb_reader_name(handle, own, sizeof own, &size), detail::End::writer);
        reader.name_ = own;
        return reader;
    }
    Frame read_ns(std::int64_t timeout) {
        zb_frame* frame = nullptr;
        void* data = nullptr;
        std::size_t size = 0;
        std::uint64_t sequence = 0;
        const zb_status status = zb_reader_read_get(handle_, timeout, &frame, &data, &size, &sequence);
        if (status == ZB_OK) return Frame(frame, data, size, sequence);
        return take(status, frame);
    }
    Frame take(zb_status status, zb_frame* frame) {
        if (status == ZB_OK) return Frame(frame);
        if (status == ZB_TIMEOUT) return Frame();
        detail::raise(status, detail::End::writer);
    }

    zb_reader* handle_ = nullptr;
    std::string name_;
    mutable std::vector<std::uint8_t> metadata_;
};

} // namespace zerobuffer

#endif
