// The C++ header: everything in it, and what it throws. Usage: checks RUN
#include "check.h"

#include <atomic>
#include <cstring>
#include <numeric>
#include <thread>
#include <zerobuffer.hpp>

using namespace std::chrono_literals;
namespace zb = zerobuffer;

template <typename Exception, typename Call> static void throws(const char* what, Call call) {
    try {
        call();
    } catch (const Exception& error) {
        CHECK(error.what()[0] != 0);
        return;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s throws another one: %s\n", what, error.what());
        std::exit(1);
    }
    std::fprintf(stderr, "%s does not throw\n", what);
    std::exit(1);
}

static void stream(const std::string& name) {
    throws<zb::BufferNotFoundException>("no reader", [&] { zb::Writer writer(name); });
    zb::Reader reader(name, zb::BufferConfig(1024, 64 * 1024));
    throws<zb::ReaderAlreadyConnectedException>("a second reader", [&] { zb::Reader other(name); });
    CHECK(!reader.is_writer_connected() && !reader.is_writer_connected(1));
    CHECK(!reader.read_frame(1ms).valid());
    CHECK(reader.get_metadata().empty() && reader.get_metadata_raw() == nullptr);
    zb::Writer writer(name);
    throws<zb::WriterAlreadyConnectedException>("a second writer", [&] { zb::Writer other(name); });
    CHECK(reader.is_writer_connected() && writer.is_reader_connected());

    const std::vector<std::uint8_t> caps{1, 2, 3, 4};
    writer.set_metadata(caps);
    throws<zb::MetadataAlreadyWrittenException>("metadata twice", [&] { writer.set_metadata(caps); });
    CHECK(reader.get_metadata() == caps && reader.get_metadata_size() == 4);
    CHECK(*reader.get_metadata_as<std::uint8_t>() == 1 && reader.get_metadata_as<std::uint64_t>() == nullptr);

    CHECK(writer.write_frame(caps));
    std::uint64_t sequence = 0;
    auto* room = static_cast<std::uint8_t*>(writer.get_frame_buffer(100, sequence));
    CHECK(sequence == 2);
    std::iota(room, room + 100, std::uint8_t{0});
    writer.commit_frame();
    (void)writer.get_frame_buffer(100);
    writer.abort_frame();
    throws<zb::InvalidFrameSizeException>("no byte", [&] { writer.write_frame(nullptr, 0); });
    throws<zb::FrameTooLargeException>("too many", [&] { writer.get_frame_buffer(1 << 20, sequence); });
    writer.set_write_timeout(2ms);
    CHECK(writer.get_write_timeout() == 2ms);
    const std::vector<std::uint8_t> large(60000);
    CHECK(writer.write_frame(large));
    throws<zb::BufferFullException>("full", [&] { writer.write_frame(large); });
    CHECK(writer.frames_written() == 3 && writer.bytes_written() == 60104);

    zb::Frame first = reader.read_frame(std::chrono::seconds(5));
    CHECK(first.valid() && first.size() == 4 && first.sequence() == 1);
    zb::Frame second = reader.read();
    CHECK(std::accumulate(second.begin(), second.end(), 0) == 4950);
    second.bytes()[0] = 7;
    first = std::move(second);
    CHECK(!second.valid() && first.sequence() == 2 && *first.begin() == 7);
    reader.release_frame(first);
    CHECK(!first.valid() && first.size() == 100);
    std::optional<zb::Frame> third = reader.try_read();
    CHECK(third && third->size() == 60000);
    third.reset();
    CHECK(!reader.try_read());
    CHECK(reader.frames_read() == 3 && reader.bytes_read() == 60104);

    writer.write_frame(caps);
    writer.write_frame(caps);
    CHECK(reader.latest(1s).sequence() == 5);
    writer.write_frame(caps);
    zb::Writer moved = std::move(writer);
    moved.close();
    int frames = 0;
    for (zb::Frame& frame : reader) frames += frame.size() == 4;
    CHECK(frames == 1);
    throws<zb::WriterDeadException>("the writer is gone", [&] { reader.read_frame(); });

    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        reader.interrupt();
    });
    zb::Writer next(name);
    throws<zb::ClosedException>("an interrupted read", [&] { reader.read(); });
    other.join();
    reader.resume();
    zb::Reader kept = std::move(reader);
    kept.close();
    throws<zb::ReaderDeadException>("the reader is gone", [&] { next.write_frame(caps); });
    throws<zb::ZeroBufferException>("a closed reader", [&] { kept.read(); });
}

static void threads(const std::string& name) {
    zb::Reader reader(name, zb::BufferConfig(0, 4096));
    std::thread writing([&] {
        zb::Writer writer(name);
        for (std::uint64_t number = 1; number <= 2000; number++) writer.write_frame(&number, sizeof number);
    });
    std::uint64_t sum = 0;
    for (std::uint64_t number = 1; number <= 2000; number++) {
        zb::Frame frame = reader.read_frame(10s);
        CHECK(frame.size() == 8 && frame.sequence() == number);
        sum += *static_cast<const std::uint64_t*>(frame.data());
        std::thread([moved = std::move(frame)] {}).join();
        if (number == 50) break;
    }
    for (std::uint64_t number = 51; number <= 2000; number++)
        sum += *static_cast<const std::uint64_t*>(reader.read_frame(10s).data());
    CHECK(sum == 2001000);
    writing.join();
}

/* One call waits. What another thread calls meanwhile is told so, and the first one goes on. */
template <typename First, typename Second, typename End>
static std::int32_t beside(First first, Second second, End end) {
    std::int32_t result = ZB_BUSY, other = ZB_OK;
    std::thread waiting([&] {
        while ((result = first()) == ZB_BUSY) std::this_thread::yield();
    });
    const auto until = std::chrono::steady_clock::now() + 20s;
    while ((other = second()) != ZB_BUSY && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(1ms);
    GIVES(ZB_BUSY, other);
    CHECK(zb_last_error(nullptr, 0) > 20);
    end();
    waiting.join();
    return result;
}

static void wrong_thread(const std::string& name) {
    zb::Reader reader(name, zb::BufferConfig(0, 4096));
    zb::Writer writer(name);
    zb_frame *frame = nullptr, *none = nullptr;
    GIVES(ZB_CLOSED, beside([&] { return zb_reader_read(reader.handle(), 20 * SECOND, &frame); },
                            [&] { return zb_reader_read(reader.handle(), 0, &none); },
                            [&] { reader.interrupt(); }));
    reader.resume();
    const std::vector<unsigned char> data(2000);
    writer.write_frame(data);
    writer.write_frame(data);
    GIVES(ZB_OK, zb_writer_set_write_timeout(writer.handle(), 20 * SECOND));
    const auto write = [&] { return zb_writer_write(writer.handle(), data.data(), data.size(), nullptr); };
    const auto try_write = [&] {
        return zb_writer_try_write(writer.handle(), data.data(), data.size(), nullptr);
    };
    GIVES(ZB_OK, beside(write, try_write, [&] { CHECK(reader.read().sequence() == 1); }));
    CHECK(reader.read().sequence() == 2 && reader.read().sequence() == 3);
}

static void loop(const std::string& name) {
    std::vector<unsigned char> data(3000);
    /* Room for one frame: each step gives the one before back. */
    zb::Reader reader(name, zb::BufferConfig(0, 4096));
    std::thread writing([&] {
        zb::Writer writer(name);
        for (std::uint64_t number = 1; number <= 100; number++) {
            fill(data.data(), data.size(), number);
            writer.write_frame(data);
        }
    });
    std::uint64_t count = 0;
    for (zb::Frame& frame : reader) {
        count++;
        CHECK(frame.sequence() == count && is_right(frame.data(), frame.size(), count));
        if (count % 3 == 0) frame.release();
    }
    writing.join();
    CHECK(count == 100);
    {
        zb::Writer writer(name);
        for (std::uint64_t number = 101; number <= 102; number++) {
            fill(data.data(), 1000, number);
            writer.write_frame(data.data(), 1000);
        }
    }
    zb::Frame kept;
    for (zb::Frame& frame : reader)
        if (!kept.valid()) kept = std::move(frame);
    CHECK(kept.sequence() == 101 && is_right(kept.data(), kept.size(), 101));
}

static std::string text(const zb::Frame& frame) { return {frame.begin(), frame.end()}; }

static void duplex(const std::string& channel) {
    std::atomic<int> errors{0};
    {
        zb::ImmutableDuplexServer server(channel, zb::BufferConfig(1024, 64 * 1024));
        server.on_error([&](const std::string& what) { errors += what.find("on purpose") != std::string::npos; });
        server.start([](zb::Frame request, zb::Writer& writer) {
            if (text(request) == "throw") throw std::runtime_error("on purpose");
            std::uint64_t sequence = 0;
            void* room = writer.get_frame_buffer(request.size(), sequence);
            CHECK(sequence == request.sequence());
            std::memcpy(room, request.data(), request.size());
            writer.commit_frame();
            CHECK(writer.frames_written() == 1 && writer.is_reader_connected());
        });
        CHECK(server.is_running());
        zb::DuplexClient client(channel, zb::BufferConfig(1024, 64 * 1024));
        client.set_metadata("me", 2);
        const std::uint64_t sequence = client.write("abc", 3);
        zb::Frame response = client.read(10s);
        CHECK(response.sequence() == sequence && text(response) == "abc");
        const auto buffer = client.acquire_buffer(2);
        std::memcpy(buffer.data(), "xy", 2);
        CHECK(client.commit() == sequence + 1);
        CHECK(text(client.read(10s)) == "xy" && client.is_server_connected());
        CHECK(text(client.call("call", 4, 10s)) == "call");
        throws<zb::RemoteException>("a handler that throws", [&] { client.call("throw", 5, 10s); });
        CHECK(errors == 1 && !client.read(1ms).valid());
        server.stop();
        throws<zb::ZeroBufferException>("no server", [&] { client.call("abc", 3, 10s); });
    }
    zb::DuplexChannelFactory factory;
    auto server = factory.create_mutable_server(channel, zb::BufferConfig(1024, 64 * 1024));
    server->start([](zb::Frame& frame) {
        for (std::uint8_t& byte : frame.bytes()) byte++;
    });
    auto client = factory.create_client(channel);
    client->send_request("abc", 3);
    zb::DuplexResponse response = client->receive_response(10s);
    CHECK(response.is_valid() && response.data().size() == 3 && response.data()[0] == 'b');
    CHECK(response.sequence() == 1);
    server->stop();
    server.reset();
    client.reset();
    auto returning = factory.create_immutable_server(channel, zb::BufferConfig(1024, 64 * 1024));
    returning->start([](const zb::Frame& frame) { return std::vector<std::uint8_t>(frame.size(), 9); });
    client = factory.create_client(channel, zb::BufferConfig(0, 4096));
    auto [sequence, room] = client->acquire_request_buffer(4);
    CHECK(sequence == 1 && room.size() == 4);
    std::memset(room.data(), 1, room.size());
    client->commit_request();
    response = client->receive_response(10s);
    CHECK(response.data().size() == 4 && response.data()[3] == 9);
}

static void observe(const std::string& name) {
    zb::Reader reader(name);
    zb::Writer writer(name);
    bool found = false;
    for (const zb::BufferInfo& info : zb::list_buffers()) found = found || info.name == name;
    CHECK(found && zb::inspect_buffer(name).ring_size == 1024 * 1024 && zb::inspect_buffer(name).writer_alive);
    throws<zb::BufferNotFoundException>("nothing to see", [] { zb::inspect_buffer("zbc-not-there"); });
    zb::Tap tap(name);
    CHECK(!tap.next(1ms));
    writer.write_frame("seen", 4);
    const std::optional<zb::TapFrame> seen = tap.next(10s);
    CHECK(seen && seen->sequence == 1 && seen->data.size() == 4 && seen->data[0] == 's');
}

static void newest(const std::string& name) {
    zb::Newest newest(name, zb::BufferConfig(0, 4096));
    CHECK(!newest.try_read() && !newest.is_writer_connected() && newest.event_fd() >= 0);
    zb::Writer writer(name);
    const std::vector<std::uint8_t> data(1000, 1);
    for (int number = 0; number < 50; number++) writer.write_frame(data);
    std::uint64_t all = 0;
    zb::Frame frame;
    while (frame.sequence() < 50) {
        frame = newest.read_frame(10s);
        all += 1 + newest.skipped();
    }
    CHECK(all == 50 && frame.size() == 1000);
    zb::Newest moved(std::move(newest));
    throws<zb::ZeroBufferException>("moved away", [&] { newest.try_read(); });
    writer.close();
    throws<zb::WriterDeadException>("no writer", [&] { moved.read(); });
    moved.interrupt();
    throws<zb::ClosedException>("interrupted", [&] { moved.read(); });
}

static void events(const std::string& name) {
    zb::Reader reader(name, zb::BufferConfig(0, 4096));
    zb::Writer writer(name);
    const std::vector<std::uint8_t> data(3000, 1);
    CHECK(reader.event_fd() >= 0 && reader.event_fd() == reader.event_fd() && writer.event_fd() >= 0);
    CHECK(writer.try_write_frame(data.data(), data.size()));
    CHECK(!writer.try_write_frame(data.data(), data.size()));
    CHECK(reader.try_read() && !reader.try_read());
    CHECK(writer.try_write_frame(data.data(), data.size()));
}

static void broadcast(const std::string& name) {
    zb::Reader first = zb::Reader::subscribe(name);
    zb::Reader second = zb::Reader::subscribe(name, zb::BufferConfig(64, 4096));
    CHECK(first.name() != second.name() && second.name().rfind(name + "@", 0) == 0);
    zb::BroadcastConfig config;
    config.policy = zb::SlowPolicy::block(10s);
    const std::string own = second.name().substr(name.size() + 1);
    config.policies.emplace_back(own, zb::SlowPolicy::disconnect());
    config.policies.emplace_back("*", zb::SlowPolicy::drop());
    zb::Broadcaster broadcaster(name, config);
    CHECK(broadcaster.wait_for_subscribers(2, 10s) && !broadcaster.wait_for_subscribers(3, 0s));
    broadcaster.set_metadata("m", 1);
    const std::vector<std::uint8_t> data(1000, 1);
    for (int number = 0; number < 20; number++) CHECK(broadcaster.write_frame(data).sent >= 1);
    for (std::uint64_t number = 1; number <= 20; number++) {
        zb::Frame frame = first.read_frame(10s);
        CHECK(frame.sequence() == number && frame.size() == 1000);
    }
    CHECK(first.get_metadata_size() == 1);
    const std::vector<zb::Subscriber> subscribers = broadcaster.subscribers();
    CHECK(subscribers.size() == 1 && subscribers[0].buffer == first.name() && subscribers[0].frames == 20);
    CHECK(subscribers[0].problem.empty() && subscribers[0].missed == 0);
    CHECK(broadcaster.stat(ZB_STAT_DISCONNECTED) == 1);
    zb::Broadcaster moved(std::move(broadcaster));
    throws<zb::ZeroBufferException>("moved away", [&] { broadcaster.write_frame(data); });
    moved.interrupt();
    throws<zb::ClosedException>("interrupted", [&] { moved.write_frame(data); });
    moved.close();
    throws<zb::WriterDeadException>("no broadcaster", [&] { first.read(); });
    throws<zb::ZeroBufferException>("no such name", [&] { zb::Reader::subscribe("a/b"); });
}

int main(int count, char** words) {
    const char* run = count > 1 ? words[1] : "0";
    stream(own_name("cpp", run));
    threads(own_name("cpp-threads", run));
    wrong_thread(own_name("cpp-wrong-thread", run));
    loop(own_name("cpp-loop", run));
    duplex(own_name("cpp-duplex", run));
    observe(own_name("cpp-observe", run));
    newest(own_name("cpp-newest", run));
    events(own_name("cpp-events", run));
    broadcast(own_name("cpp-broadcast", run));
    std::puts("checks: all right");
}
