/* What is thrown. */
#ifndef ZEROBUFFER_EXCEPTIONS_H
#define ZEROBUFFER_EXCEPTIONS_H

#include "../zerobuffer.h"

#include <cstdint>
#include <stdexcept>
#include <string>

namespace zerobuffer {

/* The base of all: any error of the library. */
class ZeroBufferException : public std::runtime_error {
public:
    explicit ZeroBufferException(const std::string& what, zb_status status = ZB_ERROR)
        : std::runtime_error(what), status_(static_cast<std::int32_t>(status)) {}

    /* The ZB_ status behind it. */
    zb_status status() const noexcept { return static_cast<zb_status>(status_); }

private:
    std::int32_t status_;
};

/* A class of errors; `text` is what it says when nobody says more. */
#define ZEROBUFFER_EXCEPTION(name, status, text)                                      \
    class name : public ZeroBufferException {                                         \
    public:                                                                           \
        explicit name(const std::string& what = text) : ZeroBufferException(what, status) {} \
    }

ZEROBUFFER_EXCEPTION(WriterDeadException, ZB_PEER_GONE, "the writer is gone");
ZEROBUFFER_EXCEPTION(ReaderDeadException, ZB_PEER_GONE, "the reader is gone");
ZEROBUFFER_EXCEPTION(BufferFullException, ZB_FULL, "the buffer is full");
ZEROBUFFER_EXCEPTION(InvalidFrameSizeException, ZB_EMPTY_FRAME, "not a frame's size");
ZEROBUFFER_EXCEPTION(FrameTooLargeException, ZB_FRAME_TOO_LARGE, "the frame is too large");
ZEROBUFFER_EXCEPTION(MetadataAlreadyWrittenException, ZB_METADATA_WRITTEN, "the metadata are written");
ZEROBUFFER_EXCEPTION(BufferNotFoundException, ZB_NOT_FOUND, "there is no such buffer");
ZEROBUFFER_EXCEPTION(WriterAlreadyConnectedException, ZB_WRITER_CONNECTED, "there is a writer already");
ZEROBUFFER_EXCEPTION(ReaderAlreadyConnectedException, ZB_READER_CONNECTED, "there is a reader already");
ZEROBUFFER_EXCEPTION(ClosedException, ZB_CLOSED, "this end is closed");
ZEROBUFFER_EXCEPTION(AccessDeniedException, ZB_PERMISSION_DENIED, "no permission");
ZEROBUFFER_EXCEPTION(CorruptException, ZB_CORRUPT, "the buffer is corrupt");
ZEROBUFFER_EXCEPTION(RemoteException, ZB_REMOTE, "the handler failed");
#undef ZEROBUFFER_EXCEPTION

/* A frame does not carry the next number. */
class SequenceError : public ZeroBufferException {
public:
    explicit SequenceError(const std::string& what) : ZeroBufferException(what, ZB_SEQUENCE) {}
    SequenceError(std::uint64_t expected, std::uint64_t got)
        : SequenceError("expected sequence " + std::to_string(expected) + ", got " + std::to_string(got)) {}
};

namespace detail {

/* The text of this thread's last error. */
inline std::string last_error() {
    std::string text(zb_last_error(nullptr, 0) + 1, '\0');
    zb_last_error(&text[0], text.size());
    text.pop_back();
    return text;
}

enum class End { reader, writer };

/* Throws what the status stands for; `other` is the end that is gone if one is. */
[[noreturn]] inline void raise(zb_status status, End other) {
    const std::string text = last_error();
    switch (static_cast<std::int32_t>(status)) {
    case ZB_PEER_GONE:
        if (other == End::writer) throw WriterDeadException(text);
        throw ReaderDeadException(text);
    case ZB_FULL: throw BufferFullException(text);
    case ZB_EMPTY_FRAME: throw InvalidFrameSizeException(text);
    case ZB_FRAME_TOO_LARGE: throw FrameTooLargeException(text);
    case ZB_METADATA_WRITTEN: throw MetadataAlreadyWrittenException(text);
    case ZB_NOT_FOUND: throw BufferNotFoundException(text);
    case ZB_WRITER_CONNECTED: throw WriterAlreadyConnectedException(text);
    case ZB_READER_CONNECTED: throw ReaderAlreadyConnectedException(text);
    case ZB_CLOSED: throw ClosedException(text);
    case ZB_PERMISSION_DENIED: throw AccessDeniedException(text);
    case ZB_CORRUPT: throw CorruptException(text);
    case ZB_SEQUENCE: throw SequenceError(text);
    case ZB_REMOTE: throw RemoteException(text);
    default: throw ZeroBufferException(text, status);
    }
}

inline void check(zb_status status, End other) {
    if (status != ZB_OK) raise(status, other);
}

/* A library that is older than this header, or has another interface. */
inline void check_abi() {
    const std::uint32_t found = zb_abi_version();
    if (found >> 16 != ZB_ABI_VERSION >> 16 || found < ZB_ABI_VERSION)
        throw ZeroBufferException("libzerobuffer " + std::string(zb_version()) +
                                  " does not have the interface of this program's zerobuffer.h");
}

} // namespace detail
} // namespace zerobuffer

#endif
