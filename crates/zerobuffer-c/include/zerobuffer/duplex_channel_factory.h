/* Makes clients and servers. */
#ifndef ZEROBUFFER_DUPLEX_CHANNEL_FACTORY_H
#define ZEROBUFFER_DUPLEX_CHANNEL_FACTORY_H

#include "duplex_client.h"
#include "immutable_duplex_server.h"
#include "mutable_duplex_server.h"

namespace zerobuffer {

class DuplexChannelFactory : public IDuplexChannelFactory {
public:
    std::unique_ptr<IImmutableDuplexServer> create_immutable_server(const std::string& channel_name,
                                                                    const BufferConfig& config) override {
        return std::make_unique<ImmutableDuplexServer>(channel_name, config);
    }
    std::unique_ptr<IMutableDuplexServer> create_mutable_server(const std::string& channel_name,
                                                                const BufferConfig& config) override {
        return std::make_unique<MutableDuplexServer>(channel_name, config);
    }
    std::unique_ptr<IDuplexClient> create_client(const std::string& channel_name) override {
        return std::make_unique<DuplexClient>(channel_name);
    }
    std::unique_ptr<IDuplexClient> create_client(const std::string& channel_name,
                                                 const BufferConfig& response_config) override {
        return std::make_unique<DuplexClient>(channel_name, response_config);
    }
};

} // namespace zerobuffer

#endif
