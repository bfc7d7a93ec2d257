// One end of one measurement, in C++.
#include <memory>
#include <zerobuffer.hpp>

struct receiver {
    std::unique_ptr<zerobuffer::Reader> reader;
    zerobuffer::Frame frame;
};

struct sender {
    std::unique_ptr<zerobuffer::Writer> writer;
};

#include "drive.h"

static void open_receiver(receiver* end, const char* name, const task* task) {
    zerobuffer::BufferConfig config(0, (task->bytes + 16) * task->depth);
    end->reader = std::make_unique<zerobuffer::Reader>(name, config);
}

static const unsigned char* receive_frame(receiver* end) {
    end->frame = end->reader->read();
    return static_cast<const unsigned char*>(end->frame.data());
}

static void release_frame(receiver* end) { end->frame.release(); }

static void close_receiver(receiver* end) { end->reader.reset(); }

static void open_sender(sender* end, const char* name, const task*) {
    zerobuffer::WriterConfig config;
    config.connect_timeout = std::chrono::seconds(20);
    end->writer = std::make_unique<zerobuffer::Writer>(name, config);
}

static void send_copy(sender* end, const void* data, size_t size) { end->writer->write_frame(data, size); }
static void* begin_loan(sender* end, size_t size) { return end->writer->get_frame_buffer(size); }
static void commit_loan(sender* end, size_t size) { end->writer->commit_frame(size); }

static void close_sender(sender* end) { end->writer.reset(); }

int main(int count, char** words) {
    try {
        return drive(count, words);
    } catch (const zerobuffer::ZeroBufferException& error) {
        fail(error.what());
    }
}
