/* The answering end of a channel, whose handler edits the request in place. */
#ifndef ZEROBUFFER_MUTABLE_DUPLEX_SERVER_H
#define ZEROBUFFER_MUTABLE_DUPLEX_SERVER_H

#include "duplex_channel.h"

namespace zerobuffer {

class MutableDuplexServer : public IMutableDuplexServer {
public:
    MutableDuplexServer(const std::string& channel_name, const BufferConfig& config)
        : server_(channel_name, config) {}

    using IMutableDuplexServer::start;
    /* The request buffer exists when this returns. */
    void start(MutableHandler handler) override { server_.start_editing(std::move(handler)); }
    void stop() override { server_.stop(); }
    bool is_running() const override { return server_.is_running(); }
    /* Before the start; called on the threads of the server. */
    void on_error(ErrorHandler handler) { server_.on_error(std::move(handler)); }

private:
    detail::Server server_;
};

} // namespace zerobuffer

#endif
