// A program as users of the existing C++ implementation write it: its include names, classes,
// methods and exceptions, and no other. Usage: upstream RUN
#include <zerobuffer/duplex_channel.h>
#include <zerobuffer/duplex_channel_factory.h>
#include <zerobuffer/logger.h>
#include <zerobuffer/platform.h>
#include <zerobuffer/reader.h>
#include <zerobuffer/types.h>
#include <zerobuffer/writer.h>
#include <zerobuffer/zerobuffer.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

using namespace zerobuffer;

namespace {

struct PictureDescription {
    std::uint32_t width, height, fps;
    char codec[32];
};

constexpr int PICTURES = 200;
constexpr std::size_t PICTURE = 64 * 48;

void camera(const std::string& buffer) {
    std::unique_ptr<Writer> writer;
    for (int attempt = 0; !writer; attempt++) {
        try {
            writer = std::make_unique<Writer>(buffer);
        } catch (const ZeroBufferException&) {
            if (attempt == 100) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    writer->set_write_timeout(std::chrono::milliseconds(10000));
    PictureDescription description{64, 48, 30, {}};
    std::strncpy(description.codec, "GRAY8", sizeof description.codec - 1);
    writer->set_metadata(&description, sizeof description);
    std::vector<std::uint8_t> picture(PICTURE);
    for (int number = 0; number < PICTURES; number++) {
        try {
            if (number % 2 == 0) {
                std::fill(picture.begin(), picture.end(), static_cast<std::uint8_t>(number));
                writer->write_frame(picture);
            } else {
                std::uint64_t sequence_number = 0;
                void* room = writer->get_frame_buffer(PICTURE, sequence_number);
                std::memset(room, number, PICTURE);
                writer->commit_frame();
            }
        } catch (const ReaderDeadException&) {
            std::cerr << "the reader has gone\n";
            return;
        } catch (const BufferFullException&) {
            std::cerr << "the reader is slow\n";
        }
    }
    ZEROBUFFER_LOG_INFO("camera") << writer->frames_written() << " pictures, " << writer->bytes_written() << " bytes";
}

int display(Reader& reader) {
    while (!reader.is_writer_connected(5000)) std::cerr << "no writer yet\n";
    const PictureDescription* description = nullptr;
    int pictures = 0;
    while (true) {
        try {
            Frame frame = reader.read_frame(std::chrono::seconds(5));
            if (!frame.valid()) continue;
            if (!description) {
                description = reader.get_metadata_as<PictureDescription>();
                if (!description || description->width != 64 || reader.get_metadata_size() != sizeof *description)
                    return -1;
            }
            const auto* bytes = static_cast<const std::uint8_t*>(frame.data());
            if (frame.size() != PICTURE || frame.sequence() != static_cast<std::uint64_t>(pictures) + 1 ||
                bytes[PICTURE - 1] != static_cast<std::uint8_t>(pictures))
                return -1;
            pictures++;
            reader.release_frame(frame);
        } catch (const WriterDeadException&) {
            break;
        }
    }
    return reader.frames_read() == PICTURES && reader.bytes_read() == PICTURES * PICTURE ? pictures : -1;
}

class Doubler {
public:
    void process(const Frame& request, Writer& response_writer) {
        std::vector<std::uint8_t> response(request.size());
        const auto* bytes = static_cast<const std::uint8_t*>(request.data());
        for (std::size_t at = 0; at < response.size(); at++) response[at] = static_cast<std::uint8_t>(2 * bytes[at]);
        response_writer.write_frame(response.data(), response.size());
    }
};

bool ask(const std::string& channel) {
    DuplexChannelFactory factory;
    std::unique_ptr<IImmutableDuplexServer> server = factory.create_immutable_server(channel, BufferConfig(1024, 1 << 20));
    Doubler doubler;
    server->start([&doubler](Frame request, Writer& writer) { doubler.process(request, writer); });
    std::unique_ptr<IDuplexClient> client = factory.create_client(channel, BufferConfig(1024, 1 << 20));
    bool right = true;
    for (std::uint8_t number = 1; number <= 100; number++) {
        auto room = client->acquire_buffer(1000);
        std::memset(room.data(), number, room.size());
        const std::uint64_t sequence = client->commit();
        Frame response = client->read(std::chrono::milliseconds(5000));
        right = right && response.is_valid() && response.sequence() == sequence && response.size() == 1000 &&
                static_cast<const std::uint8_t*>(response.data())[999] == static_cast<std::uint8_t>(2 * number);
    }
    server->stop();
    return right && !server->is_running();
}

} // namespace

int main(int argc, char* argv[]) {
    init_logging(warning);
    const std::string run = argc > 1 ? argv[1] : std::to_string(platform::get_current_pid());
    try {
        BufferConfig config(4096, 256 * 1024);
        Reader reader(run + "-pictures", config);
        std::thread writing(camera, reader.name());
        const int pictures = display(reader);
        writing.join();
        if (pictures != PICTURES || !ask(run + "-channel")) {
            std::cerr << "wrong: " << pictures << "\n";
            return 1;
        }
    } catch (const std::exception& error) {
        std::cerr << "Error: " << error.what() << "\n";
        return 1;
    }
    std::cout << "upstream: all right\n";
    return 0;
}
