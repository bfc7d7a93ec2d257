/* The answering end of a channel, whose handler writes the response. */
#ifndef ZEROBUFFER_IMMUTABLE_DUPLEX_SERVER_H
#define ZEROBUFFER_IMMUTABLE_DUPLEX_SERVER_H

#include "duplex_channel.h"

namespace zerobuffer {

class ImmutableDuplexServer : public IImmutableDuplexServer {
public:
    ImmutableDuplexServer(const std::string& channel_name, const BufferConfig& config)
        : server_(channel_name, config) {}

    using IImmutableDuplexServer::start;
    /* The request buffer exists when this returns. */
    void start(const ImmutableHandler& handler) override { server_.start(handler); }
    void stop() override { server_.stop(); }
    bool is_running() const override { return server_.is_running(); }
    /* Before the start; called on the threads of the server. */
    void on_error(ErrorHandler handler) { server_.on_error(std::move(handler)); }

private:
    detail::Server server_;
};

} // namespace zerobuffer

#endif
