// A service that inverts pictures, and one client of it. Usage: service CHANNEL
#include <cstdio>
#include <vector>
#include <zerobuffer.hpp>

int main(int count, char** words) {
    if (count != 2) {
        std::fprintf(stderr, "usage: service CHANNEL\n");
        return 2;
    }
    try {
        zerobuffer::BufferConfig config(1024, 4 * 1024 * 1024);
        zerobuffer::MutableDuplexServer server(words[1], config);
        server.on_error([](const std::string& what) { std::fprintf(stderr, "%s\n", what.c_str()); });
        // The request is edited in shared memory, and sent back.
        server.start([](zerobuffer::Frame& picture) {
            for (std::uint8_t& pixel : picture.bytes()) pixel = static_cast<std::uint8_t>(255 - pixel);
        });

        zerobuffer::DuplexClient client(words[1]);
        const std::vector<std::uint8_t> picture(640 * 480, 200);
        for (int number = 0; number < 50; number++) {
            zerobuffer::Frame inverted = client.call(picture.data(), picture.size(), std::chrono::seconds(5));
            if (!inverted || inverted.size() != picture.size() || *inverted.begin() != 55) return 1;
        }
        std::puts("50 pictures inverted");
    } catch (const zerobuffer::ZeroBufferException& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
