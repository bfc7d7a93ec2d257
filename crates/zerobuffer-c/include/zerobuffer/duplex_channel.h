/* Requests and responses: what clients and servers have in common. */
#ifndef ZEROBUFFER_DUPLEX_CHANNEL_H
#define ZEROBUFFER_DUPLEX_CHANNEL_H

#include "types.h"
#include "writer.h"

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace zerobuffer {

/* A response; not valid if none came in time. */
struct DuplexResponse {
    Frame frame;

    bool is_valid() const noexcept { return frame.is_valid(); }
    /* The number of the request that it answers. */
    std::uint64_t sequence() const noexcept { return frame.sequence(); }
    zerobuffer::span<const std::uint8_t> data() const noexcept { return frame.bytes(); }
};

/* The asking end. */
class IDuplexClient {
public:
    virtual ~IDuplexClient() = default;

    /* Sends a copy; returns the request's number. */
    virtual std::uint64_t write(const void* data, std::size_t size) = 0;
    std::uint64_t write(zerobuffer::span<const std::uint8_t> data) { return write(data.data(), data.size()); }
    /* Ring memory for a request, which commit sends; meanwhile nothing else can be sent. */
    virtual zerobuffer::span<std::uint8_t> acquire_buffer(std::size_t size) = 0;
    virtual std::uint64_t commit() = 0;
    /* The next response; not valid if none came in time. */
    virtual Frame read(std::chrono::milliseconds timeout) = 0;
    virtual bool is_server_connected() const = 0;
    /* Once, before the first request. */
    virtual void set_metadata(const void* data, std::size_t size) = 0;

    /* The names of the first version. */
    std::uint64_t send_request(const void* data, std::size_t size) { return write(data, size); }
    std::uint64_t send_request(zerobuffer::span<const std::uint8_t> data) { return write(data); }
    std::pair<std::uint64_t, zerobuffer::span<std::uint8_t>> acquire_request_buffer(std::size_t size) {
        const auto buffer = acquire_buffer(size);
        return {pending_sequence(), buffer};
    }
    void commit_request() { (void)commit(); }
    DuplexResponse receive_response(std::chrono::milliseconds timeout) { return {read(timeout)}; }

protected:
    virtual std::uint64_t pending_sequence() const = 0;
};

class IDuplexServer {
public:
    virtual ~IDuplexServer() = default;
    virtual void stop() = 0;
    virtual bool is_running() const = 0;
};

/* Answers a request by the writer, once. What it throws is told to the client. */
using ImmutableHandler = std::function<void(Frame request, Writer& response_writer)>;
/* Edits the request; what it makes of it is the response. */
using MutableHandler = std::function<void(Frame&)>;
/* Returns the response. */
using RequestHandler = std::function<std::vector<std::uint8_t>(const Frame&)>;
/* Gets the text of what went wrong. */
using ErrorHandler = std::function<void(const std::string&)>;

class IImmutableDuplexServer : public IDuplexServer {
public:
    virtual void start(const ImmutableHandler& handler) = 0;

    /* A handler that returns its response: anything with data() and size(). */
    template <typename Handler,
              typename = std::enable_if_t<std::is_invocable_v<Handler&, const Frame&> &&
                                          !std::is_invocable_v<Handler&, Frame, Writer&>>>
    void start(Handler handler, bool /*is_async*/ = false) {
        start(ImmutableHandler([handler](Frame request, Writer& writer) mutable {
            const auto response = handler(static_cast<const Frame&>(request));
            writer.write_frame(response.data(), response.size());
        }));
    }
};

class IMutableDuplexServer : public IDuplexServer {
public:
    virtual void start(MutableHandler handler) = 0;
    void start(MutableHandler handler, bool /*is_async*/) { start(std::move(handler)); }
};

class IDuplexChannelFactory {
public:
    virtual ~IDuplexChannelFactory() = default;
    virtual std::unique_ptr<IImmutableDuplexServer> create_immutable_server(const std::string& channel_name,
                                                                            const BufferConfig& config) = 0;
    virtual std::unique_ptr<IMutableDuplexServer> create_mutable_server(const std::string& channel_name,
                                                                        const BufferConfig& config) = 0;
    /* Without a configuration the response ring is as large as the request ring. */
    virtual std::unique_ptr<IDuplexClient> create_client(const std::string& channel_name) = 0;
    virtual std::unique_ptr<IDuplexClient> create_client(const std::string& channel_name,
                                                         const BufferConfig& response_config) = 0;
};

namespace detail {

/* A server of the C library with the handlers of this one. */
class Server {
public:
    Server(const std::string& channel, const BufferConfig& config) {
        check_abi();
        Options options;
        options.set(config);
        check(zb_server_new(channel.c_str(), options.get(), &handle_), End::writer);
        check(zb_server_on_error(handle_, &Server::on_error, this), End::writer);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        if (zb_server_free(handle_) == ZB_BUSY) std::terminate(); // in its own handler
    }

    void on_error(ErrorHandler handler) { error_handler_ = std::move(handler); }
    void start(ImmutableHandler handler) {
        answer_ = std::move(handler);
        check(zb_server_start(handle_, &Server::answer, this), End::writer);
    }
    void start_editing(MutableHandler handler) {
        edit_ = std::move(handler);
        check(zb_server_start_editing(handle_, &Server::edit, this), End::writer);
    }
    void stop() { (void)zb_server_stop(handle_); }
    bool is_running() const { return zb_server_is_running(handle_) == ZB_OK; }

private:
    /* No exception crosses into the library. */
    template <typename Body>
    std::int32_t guarded(zb_responder* responder, Body body) noexcept {
        try {
            body();
            return 0;
        } catch (const std::exception& error) {
            return failed(responder, error.what());
        } catch (...) {
            return failed(responder, "an exception of another kind");
        }
    }
    std::int32_t failed(zb_responder* responder, const char* what) noexcept {
        try {
            if (error_handler_) error_handler_(what);
        } catch (...) {
        }
        return zb_responder_fail(responder, "error", what, nullptr) == ZB_OK ? 0 : 1;
    }
    static void on_error(void* user, const char* text) {
        try {
            const auto& handler = static_cast<Server*>(user)->error_handler_;
            if (handler) handler(text);
        } catch (...) {
        }
    }
    static std::int32_t answer(void* user, zb_frame* request, zb_responder* responder) {
        auto* server = static_cast<Server*>(user);
        return server->guarded(responder, [&] {
            Writer writer(responder);
            server->answer_(Frame(request), writer);
        });
    }
    static std::int32_t edit(void* user, zb_frame* request, zb_responder* responder) {
        auto* server = static_cast<Server*>(user);
        return server->guarded(responder, [&] {
            // The library's, also if the handler throws: it sends what is in it.
            struct Lent {
                Frame frame;
                ~Lent() { (void)frame.detach(); }
            } lent{Frame(request)};
            server->edit_(lent.frame);
        });
    }

    zb_server* handle_ = nullptr;
    ImmutableHandler answer_;
    MutableHandler edit_;
    ErrorHandler error_handler_;
};

} // namespace detail
} // namespace zerobuffer

#endif
