/* The asking end of a channel. */
#ifndef ZEROBUFFER_DUPLEX_CLIENT_H
#define ZEROBUFFER_DUPLEX_CLIENT_H

#include "duplex_channel.h"

namespace zerobuffer {

/* Any number of threads may use it at a time, but for acquire_buffer and commit. */
class DuplexClient : public IDuplexClient {
public:
    /* The server must run. */
    explicit DuplexClient(const std::string& channel_name) { connect(channel_name, nullptr); }
    DuplexClient(const std::string& channel_name, const BufferConfig& response_config) {
        connect(channel_name, &response_config);
    }
    DuplexClient(const DuplexClient&) = delete;
    DuplexClient& operator=(const DuplexClient&) = delete;
    ~DuplexClient() override { close(); }

    using IDuplexClient::write;
    std::uint64_t write(const void* data, std::size_t size) override {
        std::uint64_t sequence = 0;
        check(zb_client_send(handle_, data, size, &sequence));
        return sequence;
    }
    zerobuffer::span<std::uint8_t> acquire_buffer(std::size_t size) override {
        void* data = nullptr;
        check(zb_client_loan(handle_, size, &data, &sequence_));
        pending_ = size;
        return {static_cast<std::uint8_t*>(data), size};
    }
    std::uint64_t commit() override {
        std::uint64_t sequence = 0;
        check(zb_client_commit(handle_, pending_, &sequence));
        return sequence;
    }
    void abort() { (void)zb_client_abort(handle_); }
    Frame read(std::chrono::milliseconds timeout) override {
        zb_frame* frame = nullptr;
        const zb_status status = zb_client_receive(handle_, detail::ns(timeout), &frame);
        return take(status, frame);
    }
    /* Sends a request and returns its own response; not valid if it has not come in time. */
    Frame call(const void* data, std::size_t size, std::chrono::milliseconds timeout) {
        zb_frame* frame = nullptr;
        const zb_status status = zb_client_call(handle_, data, size, detail::ns(timeout), &frame);
        return take(status, frame);
    }
    bool is_server_connected() const override { return zb_client_has_server(handle_) == ZB_OK; }
    void set_metadata(const void* data, std::size_t size) override {
        check(zb_client_set_metadata(handle_, data, size));
    }
    /* Ends the blocked calls of other threads with ClosedException. */
    void close() noexcept {
        if (handle_) (void)zb_client_close(handle_);
        handle_ = nullptr;
    }

protected:
    std::uint64_t pending_sequence() const override { return sequence_; }

private:
    void connect(const std::string& channel, const BufferConfig* responses) {
        detail::check_abi();
        detail::Options options;
        if (responses) {
            options.set(ZB_RESPONSE_SIZE, static_cast<std::int64_t>(responses->payload_size));
            options.set(ZB_RESPONSE_METADATA_SIZE, static_cast<std::int64_t>(responses->metadata_size));
            if (responses->mode >= 0) options.set(ZB_MODE, responses->mode);
        }
        check(zb_client_connect(channel.c_str(), options.get(), &handle_));
    }
    static void check(zb_status status) { detail::check(status, detail::End::reader); }
    static Frame take(zb_status status, zb_frame* frame) {
        if (status == ZB_OK) return Frame(frame);
        if (status == ZB_TIMEOUT) return Frame();
        detail::raise(status, detail::End::writer);
    }

    zb_client* handle_ = nullptr;
    std::size_t pending_ = 0;
    std::uint64_t sequence_ = 0;
};

} // namespace zerobuffer

#endif
