/* ZeroBuffer: zero-copy streaming of variable-size frames between processes.
 *
 * Every function that can fail returns a zb_status: 0 is success, positive values are ordinary
 * outcomes, negative ones are errors. zb_last_error() has the text of this thread's last one.
 * Times are nanoseconds; a negative time waits for ever, 0 does not wait.
 * Texts that go in are UTF-8 and end with a NUL.
 *
 * Handles are opaque and checked: a NULL, closed or foreign one gives a status. Of one reader,
 * writer or tap only one thread may be in a call at a time; another one gets ZB_BUSY. What may be
 * called at any time says so.
 *
 * A callback must not throw, longjmp or end its thread.
 *
 * Generated from the sources of crates/zerobuffer-c. */

#ifndef ZEROBUFFER_H
#define ZEROBUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Broadcaster: copies in the rings of subscribers.
#define ZB_STAT_SENT 8

// Broadcaster: subscribers that came.
#define ZB_STAT_JOINED 9

// Broadcaster: subscribers that closed their buffers or died.
#define ZB_STAT_LEFT 10

// Broadcaster: subscribers that were disconnected.
#define ZB_STAT_DISCONNECTED 11

// Broadcaster: subscribers that are connected.
#define ZB_STAT_SUBSCRIBERS 12

// Level: nothing is logged.
#define ZB_LOG_OFF 0

// Level: what went wrong.
#define ZB_LOG_ERROR 1

// Level: what may be wrong.
#define ZB_LOG_WARN 2

// Level: buffers that are made and left.
#define ZB_LOG_INFO 3

// Level: for those who look for a fault.
#define ZB_LOG_DEBUG 4

// Bytes of the metadata block.
#define ZB_INFO_METADATA_SIZE 0

// Bytes of the ring.
#define ZB_INFO_RING_SIZE 1

// Bytes of the ring that are free.
#define ZB_INFO_FREE 2

// The number of the last published frame.
#define ZB_INFO_LAST_SEQUENCE 3

// Published frames that the reader has not taken yet.
#define ZB_INFO_FRAMES_WAITING 4

// The reader's process, 0 if there is none.
#define ZB_INFO_READER_PID 5

// 1: the reader is alive.
#define ZB_INFO_READER_ALIVE 6

// The writer's process, 0 if there is none.
#define ZB_INFO_WRITER_PID 7

// 1: the writer is alive.
#define ZB_INFO_WRITER_ALIVE 8

// Permission bits.
#define ZB_INFO_MODE 9

// The owner's number.
#define ZB_INFO_UID 10

// Things that are wrong with the buffer; 0 if nothing is.
#define ZB_INFO_DEFECTS 11

// Reader, server: bytes of the ring, 1 MiB by default.
#define ZB_RING_SIZE 1

// Reader, server: bytes of the metadata block, 8 of which are the length; 1024 by default.
#define ZB_METADATA_SIZE 2

// Reader, server, client: permission bits of what it creates, 0600 by default.
#define ZB_MODE 3

// All: how it waits, a ZB_WAIT_ value.
#define ZB_WAIT 4

// Reader, server: 1 (default): the ring's pages are mapped at once. 0: at first touch.
#define ZB_PREFAULT 5

// Reader, server, client: 1: other sessions of Windows can find the buffer.
#define ZB_GLOBAL 6

// Writer, server, client: ns that one write waits for room, negative for ever; 5 s by default.
#define ZB_WRITE_TIMEOUT 7

// Writer, client: ns to wait for the other end to appear; by default it does not wait.
#define ZB_CONNECT_TIMEOUT 8

// Writer: what happens when the ring is full, a ZB_FULL_ value.
#define ZB_FULL_RING 9

// Writer, server, client, broadcaster: whose buffers it attaches to: ZB_OWNER_TRUSTED,
// ZB_OWNER_ANY, or the number of one more user.
#define ZB_OWNER 10

// Writer: 1: frames go through the whole ring in turn; taps see each for longer.
#define ZB_WHOLE_RING 11

// Client: bytes of the response ring; by default as large as the request ring.
#define ZB_RESPONSE_SIZE 12

// Client: bytes of the response buffer's metadata block; 4096 by default.
#define ZB_RESPONSE_METADATA_SIZE 13

// Server: threads that call the handler, 1 by default; 0: one per processor.
#define ZB_THREADS 14

// Server: 0: it stops when its client has gone. 1 (default): it serves the next one.
#define ZB_PERSISTENT 15

// Server: ns without a client after which that is reported; negative (default): never.
#define ZB_CLIENT_TIMEOUT 16

// Broadcaster: what becomes of a frame for which a subscriber's ring has no room. A ZB_SLOW_
// value, or how long that subscriber is waited for, ns.
#define ZB_SLOW 17

// Broadcaster: how many subscribers are connected at once, 64 by default.
#define ZB_MAX_SUBSCRIBERS 18

// Sleep at once.
#define ZB_WAIT_BLOCK 0

// Spin for some microseconds where that has helped lately, then sleep. The default.
#define ZB_WAIT_ADAPTIVE 1

// Never sleep: one processor at 100 %.
#define ZB_WAIT_SPIN 2

// Wait for room, at most the write timeout. The default.
#define ZB_FULL_BLOCK 0

// ZB_FULL at once.
#define ZB_FULL_REFUSE 1

// Drop the new frame and count it: ZB_DROPPED.
#define ZB_FULL_DROP 2

// The own user's and root's. The default.
#define ZB_OWNER_TRUSTED -1

// Anybody's.
#define ZB_OWNER_ANY -2

// The subscriber misses the frame, which is counted. The default.
#define ZB_SLOW_DROP -1

// The subscriber is disconnected, until it creates its buffer anew.
#define ZB_SLOW_DISCONNECT -2

// Frames handed out, or published.
#define ZB_STAT_FRAMES 0

// Their payload bytes.
#define ZB_STAT_BYTES 1

// Frames that were skipped (reader), dropped (writer), or missed (tap, subscriber).
#define ZB_STAT_LOST 2

// Calls that had to wait.
#define ZB_STAT_WAITS 3

// Time spent waiting, ns.
#define ZB_STAT_BLOCKED_NS 4

// Bytes of the ring.
#define ZB_STAT_CAPACITY 5

// Bytes of the metadata block; 8 of them are the length.
#define ZB_STAT_METADATA_CAPACITY 6

// Share of the ring that is in use, in millionths.
#define ZB_STAT_USED_PPM 7

// The interface that this header describes: 65536 times its number, plus its additions. A library
// has to have the same number, and at least as many additions.
#define ZB_ABI_VERSION 131075

// What became of a call: 0 success, positive an ordinary outcome, negative an error.
enum zb_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Success.
    ZB_OK = 0,
    // Nothing came in that time.
    ZB_TIMEOUT = 1,
    // The other end closed or died, and all that it sent is read.
    ZB_PEER_GONE = 2,
    // The ring has no room, in time.
    ZB_FULL = 3,
    // The ring was full and the policy drops: the frame was dropped and counted.
    ZB_DROPPED = 4,
    // There is none: no metadata were written.
    ZB_NONE = 5,
    // An argument is NULL, out of range or no UTF-8.
    ZB_INVALID_ARGUMENT = -1,
    // Not an open handle of that kind: closed, released, or never one.
    ZB_INVALID_HANDLE = -2,
    // Another thread is in a call on this handle, or a callback may not do this.
    ZB_BUSY = -3,
    // No buffer of that name, or no server of that channel.
    ZB_NOT_FOUND = -4,
    // It is about to come or to go: try again.
    ZB_NOT_READY = -5,
    // The name has a live reader, or the channel a live client.
    ZB_READER_CONNECTED = -6,
    // The buffer has a live writer, or another one took this one's place.
    ZB_WRITER_CONNECTED = -7,
    // The name belongs to something else, or the server runs already.
    ZB_IN_USE = -8,
    // The frame can never fit the ring.
    ZB_FRAME_TOO_LARGE = -9,
    // A frame must have at least one byte.
    ZB_EMPTY_FRAME = -10,
    // A loan cannot be committed so, or there is none.
    ZB_INVALID_COMMIT = -11,
    // The metadata are written already.
    ZB_METADATA_WRITTEN = -12,
    // The metadata do not fit.
    ZB_METADATA_TOO_LARGE = -13,
    // This end was interrupted, closed by another thread, or belongs to the parent process.
    ZB_CLOSED = -14,
    // A frame does not carry the next sequence number.
    ZB_SEQUENCE = -15,
    // What the buffer holds is impossible, or of another protocol version.
    ZB_CORRUPT = -16,
    // The operating system, or the check of the owner, refuses access.
    ZB_PERMISSION_DENIED = -17,
    // Shared memory, or what the process may have of it, is full.
    ZB_NO_SPACE = -18,
    // The handler of a request failed in the server.
    ZB_REMOTE = -19,
    // The response does not fit the client's response ring.
    ZB_RESPONSE_TOO_LARGE = -20,
    // Any other failure of a system call.
    ZB_SYSTEM = -21,
    // A fault of this library, which was caught. The handle may be unusable: close it.
    ZB_PANIC = -22,
    // Any other error.
    ZB_ERROR = -23,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum zb_status zb_status;
#else
typedef int32_t zb_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The sending end of a stream with any number of subscribers, each of which has a buffer of its
// own.
typedef struct zb_broadcaster zb_broadcaster;

// The asking end of a channel.
typedef struct zb_client zb_client;

// A received frame. Its data stay where they are until it is released, also after its reader was
// closed. Any thread may use and release it.
typedef struct zb_frame zb_frame;

// What can be seen of one buffer. Valid during the callback that gets it.
typedef struct zb_info zb_info;

// A reading end that always has the newest frame. A thread of the library takes all frames out of
// the ring, so a slow consumer never stops the writer.
typedef struct zb_newest zb_newest;

// Options of an endpoint. They may be used for any number of endpoints, and be freed after each.
typedef struct zb_options zb_options;

// The reading end of a buffer, which it creates and owns.
typedef struct zb_reader zb_reader;

// Answers one request. It is valid until its handler returns, on the handler's thread.
typedef struct zb_responder zb_responder;

// The answering end of a channel.
typedef struct zb_server zb_server;

// One connected subscriber. Valid during the callback that gets it.
typedef struct zb_subscriber zb_subscriber;

// Sees the frames of a live stream, and disturbs nothing.
typedef struct zb_tap zb_tap;

// The writing end of a buffer.
typedef struct zb_writer zb_writer;

// One piece of a frame.
typedef struct {
    // Its bytes.
    const void *data;
    // How many.
    size_t size;
} zb_part;

// Gets one subscriber. Another number than 0 ends the list.
typedef int32_t (*zb_subscriber_fn)(void *user, const zb_subscriber *subscriber);

// Gets one line of the log, with a ZB_LOG_ level. On whichever thread logs, perhaps several at a
// time, and perhaps under locks of the library: it must not call the library.
typedef void (*zb_log_fn)(void *user, int32_t level, const char *text);

// Gets what can be seen of one buffer. Another number than 0 ends the list.
typedef int32_t (*zb_info_fn)(void *user, const zb_info *info);

// Gets the text of what went wrong in a server, on the thread where it happens.
typedef void (*zb_error_fn)(void *user, const char *text);

// Gets a client's metadata before its first request; `data` is NULL if it has written none. Valid
// during the call, on a thread of the server.
typedef void (*zb_init_fn)(void *user, const void *data, size_t size);

// Answers one request, on a thread of the server. `request` and `responder` are valid until it
// returns; it may release the request before that. 0: it has answered. Another number: it failed,
// which the client and the error callback learn.
typedef int32_t (*zb_handler_fn)(void *user, zb_frame *request, zb_responder *responder);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Starts the broadcast `name`. Its subscribers are the readers of buffers `name@ANYTHING`, for
// instance of zb_reader_subscribe. A thread of the library finds them as they come. `options` may
// be NULL; ZB_SLOW and zb_options_slow say what becomes of a frame for which a ring has no room.
// Any thread.
//
// # Safety
//
// `name` is a text; `broadcaster` can be written to.
zb_status zb_broadcaster_new(const char *name,
                             const zb_options *options,
                             zb_broadcaster **broadcaster);

// Ends the broadcast: each subscriber reads what it has, and sees that its writer has gone. A call
// that another thread is in ends with ZB_CLOSED first. Any thread.
zb_status zb_broadcaster_close(zb_broadcaster *broadcaster);

// Copies `size` bytes into the ring of each subscriber as one frame. `sent` gets how many have it,
// and `missed` how many miss it, for their rings had no room; both may be NULL. Nobody is waited
// for before all others have it. One thread at a time.
//
// # Safety
//
// `data` points to `size` bytes; `sent` and `missed` are NULL or can be written to.
zb_status zb_broadcaster_write(zb_broadcaster *broadcaster,
                               const void *data,
                               size_t size,
                               size_t *sent,
                               size_t *missed);

// As zb_broadcaster_write, for a frame that lies in `count` pieces. One thread at a time.
//
// # Safety
//
// `parts` points to `count` parts, each of which points to its bytes; `sent` and `missed` are NULL
// or can be written to.
zb_status zb_broadcaster_write_parts(zb_broadcaster *broadcaster,
                                     const zb_part *parts,
                                     size_t count,
                                     size_t *sent,
                                     size_t *missed);

// Sets the metadata of the stream, for the subscribers that are there and that come. It may be
// called again with other ones: a subscriber sees them with the first frame behind them. One
// thread at a time.
//
// # Safety
//
// `data` points to `size` bytes.
zb_status zb_broadcaster_set_metadata(zb_broadcaster *broadcaster, const void *data, size_t size);

// Waits until so many subscribers are connected; ZB_TIMEOUT: there are not in time. One thread at
// a time.
zb_status zb_broadcaster_wait_for_subscribers(zb_broadcaster *broadcaster,
                                              size_t count,
                                              int64_t timeout_ns);

// A number about the broadcast: ZB_STAT_FRAMES and ZB_STAT_BYTES that were written, the copies
// ZB_STAT_SENT and ZB_STAT_LOST, ZB_STAT_JOINED, ZB_STAT_LEFT, ZB_STAT_DISCONNECTED or
// ZB_STAT_SUBSCRIBERS. Any thread, at any time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_broadcaster_stat(const zb_broadcaster *broadcaster, int32_t key, uint64_t *value);

// Ends the blocked call of another thread, and each later one, with ZB_CLOSED. It cannot be taken
// back. Any thread, at any time.
zb_status zb_broadcaster_interrupt(zb_broadcaster *broadcaster);

// Shows each connected subscriber to `function`. Any thread, at any time.
//
// # Safety
//
// `function` may be called with `user` during the call.
zb_status zb_broadcaster_subscribers(const zb_broadcaster *broadcaster,
                                     zb_subscriber_fn function,
                                     void *user);

// The subscriber's buffer, `NAME@SUBSCRIBER`; NULL for what is no subscriber. Valid during the
// callback, on any thread.
const char *zb_subscriber_buffer(const zb_subscriber *subscriber);

// What keeps the subscriber from getting everything, in words: metadata or frames that do not fit.
// NULL: nothing. Valid during the callback, on any thread.
const char *zb_subscriber_problem(const zb_subscriber *subscriber);

// A number about the subscriber: ZB_STAT_FRAMES and ZB_STAT_BYTES that it got, ZB_STAT_LOST,
// ZB_STAT_WAITS, ZB_STAT_BLOCKED_NS or ZB_STAT_USED_PPM. During the callback, on any thread.
//
// # Safety
//
// `value` can be written to.
zb_status zb_subscriber_stat(const zb_subscriber *subscriber, int32_t key, uint64_t *value);

// Connects to the server of `channel`; waits for that as ZB_CONNECT_TIMEOUT says, by default not
// at all. `options` may be NULL. Any thread.
//
// # Safety
//
// `channel` is a text; `client` can be written to.
zb_status zb_client_connect(const char *channel, const zb_options *options, zb_client **client);

// Leaves the channel and frees the client; blocked calls of other threads end with ZB_CLOSED.
// Responses stay readable. Any thread.
zb_status zb_client_close(zb_client *client);

// Copies a request into the request ring. `sequence` gets its number, which its response will
// have, and may be NULL. Any thread, at any time.
//
// # Safety
//
// `data` points to `size` bytes; `sequence` is NULL or can be written to.
zb_status zb_client_send(zb_client *client, const void *data, size_t size, uint64_t *sequence);

// Lends `size` bytes of the request ring, to be filled in place; `data` gets where, `sequence`
// the request's number, and may be NULL. Until zb_client_commit or zb_client_abort nothing else
// can be sent, by whatever thread. Any thread, at any time.
//
// # Safety
//
// `data` can be written to; `sequence` is NULL or can be written to.
zb_status zb_client_loan(zb_client *client, size_t size, void **data, uint64_t *sequence);

// Sends the first `size` bytes of the loan. `sequence` gets the request's number, and may be NULL.
// Any thread, at any time.
//
// # Safety
//
// `sequence` is NULL or can be written to.
zb_status zb_client_commit(zb_client *client, size_t size, uint64_t *sequence);

// Gives up the loan; nothing is sent. ZB_NONE: there was none. Any thread, at any time.
zb_status zb_client_abort(zb_client *client);

// The next response that no zb_client_call waits for. ZB_TIMEOUT: none came. ZB_REMOTE and
// ZB_RESPONSE_TOO_LARGE stand in the place of a response whose handler failed. Any thread, at any
// time.
//
// # Safety
//
// `response` can be written to.
zb_status zb_client_receive(zb_client *client, int64_t timeout_ns, zb_frame **response);

// Sends a request and waits for its own response, at most `timeout_ns`. A response that comes
// later is dropped. Any thread, at any time.
//
// # Safety
//
// `data` points to `size` bytes; `response` can be written to.
zb_status zb_client_call(zb_client *client,
                         const void *data,
                         size_t size,
                         int64_t timeout_ns,
                         zb_frame **response);

// Writes the client's metadata, once, which the server gets before the first request. Any thread,
// at any time.
//
// # Safety
//
// `data` points to `size` bytes.
zb_status zb_client_set_metadata(zb_client *client, const void *data, size_t size);

// ZB_OK: the server reads requests and writes responses; ZB_PEER_GONE: it does not. Any thread, at
// any time.
zb_status zb_client_has_server(const zb_client *client);

// A number about the response buffer (`of_requests` 0) or the request buffer (1). Any thread, at
// any time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_client_stat(const zb_client *client,
                         int32_t of_requests,
                         int32_t key,
                         uint64_t *value);

// The frame's data, which may be changed in place; NULL for what is no frame. Any thread.
void *zb_frame_data(const zb_frame *frame);

// The frame's size in bytes, at least 1; 0 for what is no frame. Any thread.
size_t zb_frame_size(const zb_frame *frame);

// The number that the writer gave the frame, from 1 on; of a response, that of its request. 0 for
// what is no frame. Any thread.
uint64_t zb_frame_sequence(const zb_frame *frame);

// All three at once; each place may be NULL. Any thread.
//
// # Safety
//
// `data`, `size` and `sequence` are NULL or can be written to.
zb_status zb_frame_get(const zb_frame *frame, void **data, size_t *size, uint64_t *sequence);

// Returns the frame's space to the writer. Its data must not be used any more. A second release
// is ZB_INVALID_HANDLE. Any thread; frames may be released in any order.
zb_status zb_frame_release(zb_frame *frame);

// Copies the text of this thread's last status other than ZB_OK and ZB_TIMEOUT into `text`, cut
// to `size` bytes with the NUL. Returns its whole length without the NUL; 0 if there was none. It
// stays until the next one. `text` may be NULL if `size` is 0. Any thread.
//
// # Safety
//
// `text` points to `size` bytes that may be written.
size_t zb_last_error(char *text, size_t size);

// Sends the library's log to `function`, from `level` on; NULL ends that. When this returns, the
// function that was set before is not called any more. Any thread, but no log callback.
//
// # Safety
//
// `function` may be called with `user`, on any thread, until another one is set.
zb_status zb_set_log(zb_log_fn function, void *user, int32_t level);

// Creates the buffer `name` as zb_reader_create, and starts the thread. The ring has to hold three
// frames. Any thread.
//
// # Safety
//
// `name` is a text; `newest` can be written to.
zb_status zb_newest_create(const char *name, const zb_options *options, zb_newest **newest);

// Ends the thread and closes the buffer as zb_reader_close. Frames stay readable. Any thread.
zb_status zb_newest_close(zb_newest *newest);

// The newest frame that was not handed out yet; waits for one at most `timeout_ns`. It is a copy,
// which holds no space of the ring, and is released as any other. `skipped` gets how many were
// passed over since the last one, and may be NULL. ZB_TIMEOUT and ZB_PEER_GONE as zb_reader_read.
// ZB_FRAME_TOO_LARGE: the ring does not hold three such frames. One thread at a time.
//
// # Safety
//
// `frame` can be written to; `skipped` is NULL or can be written to.
zb_status zb_newest_read(zb_newest *newest,
                         int64_t timeout_ns,
                         zb_frame **frame,
                         uint64_t *skipped);

// A descriptor as zb_reader_event_fd; zb_newest_read with time 0 makes it unreadable. Linux only,
// elsewhere ZB_ERROR. One thread at a time.
//
// # Safety
//
// `descriptor` can be written to.
zb_status zb_newest_event_fd(zb_newest *newest, int32_t *descriptor);

// ZB_OK: a live writer is attached; ZB_PEER_GONE: none is. Any thread, at any time.
zb_status zb_newest_has_writer(const zb_newest *newest);

// Copies the metadata as zb_reader_metadata. Any thread, at any time.
//
// # Safety
//
// As zb_reader_metadata.
zb_status zb_newest_metadata(const zb_newest *newest, void *data, size_t capacity, size_t *size);

// A number about it, such as ZB_STAT_LOST: the frames that were passed over. Any thread, at any
// time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_newest_stat(const zb_newest *newest, int32_t key, uint64_t *value);

// Ends the thread, and the blocked call of another thread, and each later one, with ZB_CLOSED. It
// cannot be taken back. Any thread, at any time.
zb_status zb_newest_interrupt(zb_newest *newest);

// Shows each buffer of this machine that may be read to `function`, in the order of names. Nothing
// is disturbed. Any thread.
//
// # Safety
//
// `function` may be called with `user` during the call.
zb_status zb_list(zb_info_fn function, void *user);

// Shows one buffer to `function`. Any thread.
//
// # Safety
//
// `name` is a text; `function` may be called with `user` during the call.
zb_status zb_inspect(const char *name, zb_info_fn function, void *user);

// The buffer's name; NULL for what is no information. Valid during the callback,
// on any thread.
const char *zb_info_name(const zb_info *info);

// A number about the buffer, such as ZB_INFO_FREE. During the callback, on any thread.
//
// # Safety
//
// `value` can be written to.
zb_status zb_info_get(const zb_info *info, int32_t key, uint64_t *value);

// The first 64 KiB of the buffer's metadata. ZB_NONE: there are none. Valid during the callback,
// on any thread.
//
// # Safety
//
// `data` and `size` can be written to.
zb_status zb_info_metadata(const zb_info *info, const void **data, size_t *size);

// Makes options that have all defaults. Any thread.
//
// # Safety
//
// `options` can be written to.
zb_status zb_options_new(zb_options **options);

// Sets one option, such as ZB_RING_SIZE. An unknown key or an impossible value is
// ZB_INVALID_ARGUMENT; sizes are judged when they are used. Any thread.
zb_status zb_options_set(zb_options *options, int32_t key, int64_t value);

// As ZB_SLOW, for some subscribers: by what stands behind the @ in the names of their buffers. A *
// at the end stands for anything. The first call that fits a subscriber counts. Any thread.
//
// # Safety
//
// `subscriber` is a text.
zb_status zb_options_slow(zb_options *options, const char *subscriber, int64_t policy);

// Frees options. NULL is ZB_INVALID_HANDLE and harmless. Any thread.
zb_status zb_options_free(zb_options *options);

// Creates the buffer `name` and waits for nothing. A dead reader's name is taken over, a live
// one's is ZB_READER_CONNECTED. `options` may be NULL. Any thread.
//
// # Safety
//
// `name` is a text; `reader` can be written to.
zb_status zb_reader_create(const char *name, const zb_options *options, zb_reader **reader);

// Subscribes to the broadcast `name`: creates a buffer `name@SUBSCRIBER` under a name that is
// free. The broadcaster need not be there yet. `options` are those of zb_reader_create; by default
// the ring is as large as that of the buffer `name`, where there is one. Any thread.
//
// # Safety
//
// `name` is a text; `reader` can be written to.
zb_status zb_reader_subscribe(const char *name, const zb_options *options, zb_reader **reader);

// Copies the name of the reader's buffer into `name`, cut to `capacity` bytes with the NUL; `size`
// gets its length without the NUL. Any thread, at any time.
//
// # Safety
//
// `name` points to `capacity` bytes that can be written, or is NULL; `size` can be written to.
zb_status zb_reader_name(const zb_reader *reader, char *name, size_t capacity, size_t *size);

// Tells the writer, removes the buffer's names and frees the reader. Frames stay readable. A call
// that another thread is in ends with ZB_CLOSED first. Any thread.
zb_status zb_reader_close(zb_reader *reader);

// The next frame; waits for it at most `timeout_ns`, also for the first writer. ZB_TIMEOUT: none
// came. ZB_PEER_GONE: a writer was here, is gone, and all its frames are read; a later writer is
// served by later calls. One thread at a time.
//
// # Safety
//
// `frame` can be written to.
zb_status zb_reader_read(zb_reader *reader, int64_t timeout_ns, zb_frame **frame);

// zb_reader_read and zb_frame_get in one call; `data`, `size` and `sequence` may be NULL. One
// thread at a time.
//
// # Safety
//
// `frame` can be written to; `data`, `size` and `sequence` are NULL or can be written to.
zb_status zb_reader_read_get(zb_reader *reader,
                             int64_t timeout_ns,
                             zb_frame **frame,
                             void **data,
                             size_t *size,
                             uint64_t *sequence);

// One call for each frame of a loop: gives back the frame in `frame`, unless that is NULL. Then it
// does what zb_reader_read_get does. So `frame` is NULL before the first call, and whenever this
// is not ZB_OK. ZB_INVALID_HANDLE also if it is no frame; then nothing is read. One thread at a
// time.
//
// # Safety
//
// `frame` can be read and written to; `data`, `size` and `sequence` are NULL or can be written to.
zb_status zb_reader_next(zb_reader *reader,
                         int64_t timeout_ns,
                         zb_frame **frame,
                         void **data,
                         size_t *size,
                         uint64_t *sequence);

// As zb_reader_read, but passes over all frames but the newest that is there; `skipped` gets how
// many, and may be NULL. One thread at a time.
//
// # Safety
//
// `frame` and `skipped` can be written to.
zb_status zb_reader_latest(zb_reader *reader,
                           int64_t timeout_ns,
                           zb_frame **frame,
                           uint64_t *skipped);

// A descriptor for poll, epoll and event loops. It is readable when zb_reader_read may have
// something to say; once a second perhaps for nothing. Read with time 0 then, until ZB_TIMEOUT or
// ZB_PEER_GONE: that makes it unreadable again. Nobody else may read or close it; it goes with the
// reader. Linux only, elsewhere ZB_ERROR. One thread at a time.
//
// # Safety
//
// `descriptor` can be written to.
zb_status zb_reader_event_fd(zb_reader *reader, int32_t *descriptor);

// Waits until a writer is attached, or has left frames to read; ZB_TIMEOUT: none came. One thread
// at a time.
zb_status zb_reader_wait_for_writer(zb_reader *reader, int64_t timeout_ns);

// ZB_OK: a live writer is attached; ZB_PEER_GONE: none is. Any thread, at any time.
zb_status zb_reader_has_writer(const zb_reader *reader);

// Copies the metadata into `data`, cut to `capacity`; `size` gets their whole size. ZB_NONE: none
// were written. Any thread, at any time.
//
// # Safety
//
// `data` points to `capacity` bytes that can be written, or is NULL; `size` can be written to.
zb_status zb_reader_metadata(const zb_reader *reader, void *data, size_t capacity, size_t *size);

// A number about the reader, such as ZB_STAT_FRAMES. Any thread, at any time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_reader_stat(const zb_reader *reader, int32_t key, uint64_t *value);

// Ends the blocked call of another thread, and each later one, with ZB_CLOSED, until
// zb_reader_resume. Any thread, at any time.
zb_status zb_reader_interrupt(zb_reader *reader);

// Takes zb_reader_interrupt back. Any thread, at any time.
zb_status zb_reader_resume(zb_reader *reader);

// Sends the response. A second one is ZB_DROPPED. On its handler's thread only.
//
// # Safety
//
// `data` points to `size` bytes.
zb_status zb_responder_write(zb_responder *responder, const void *data, size_t size);

// Lends `size` bytes of the response ring, to be filled in place and committed; `data` gets where.
// On its handler's thread only.
//
// # Safety
//
// `data` can be written to.
zb_status zb_responder_loan(zb_responder *responder, size_t size, void **data);

// Sends the first `size` bytes of the loan. On its handler's thread only.
zb_status zb_responder_commit(zb_responder *responder, size_t size);

// Gives up the loan. ZB_NONE: there was none. On its handler's thread only.
zb_status zb_responder_abort(zb_responder *responder);

// Tells the client that there is no answer, and why: its call is ZB_REMOTE. `kind` is a word that
// programs can tell failures by; `detail` may be NULL. On its handler's thread only.
//
// # Safety
//
// `kind`, `message` and `detail` are texts.
zb_status zb_responder_fail(zb_responder *responder,
                            const char *kind,
                            const char *message,
                            const char *detail);

// The request's number; 0 for what is no responder. On its handler's thread only.
uint64_t zb_responder_sequence(const zb_responder *responder);

// Makes a server of `channel`, which does nothing before zb_server_start. `options` may be NULL.
// Any thread.
//
// # Safety
//
// `channel` is a text; `server` can be written to.
zb_status zb_server_new(const char *channel, const zb_options *options, zb_server **server);

// Adds a callback for what goes wrong, before the first start. Any thread.
//
// # Safety
//
// `function` may be called with `user`, on any thread, until zb_server_free has returned.
zb_status zb_server_on_error(zb_server *server, zb_error_fn function, void *user);

// Sets the callback that gets each client's metadata, before the first start. Any thread.
//
// # Safety
//
// As zb_server_on_error.
zb_status zb_server_on_init(zb_server *server, zb_init_fn function, void *user);

// Creates the request buffer and serves from now on: `handler` gets each request and answers it by
// its responder. A server that was stopped may be started again. Any thread.
//
// # Safety
//
// `handler` may be called with `user`, on any thread, several at a time with ZB_THREADS, until
// zb_server_free has returned.
zb_status zb_server_start(zb_server *server, zb_handler_fn handler, void *user);

// As zb_server_start; what the handler makes of the request's data is the response, unless it has
// answered or released the request. Any thread.
//
// # Safety
//
// As zb_server_start.
zb_status zb_server_start_editing(zb_server *server, zb_handler_fn handler, void *user);

// Takes no further request and closes the channel's buffers, within 200 ms. ZB_TIMEOUT: a handler
// is still busy, and left alone. Any thread, also in a handler.
zb_status zb_server_stop(zb_server *server);

// Handles what has been sent, then stops. ZB_TIMEOUT: that was not done in time, and it was
// stopped. Any thread.
zb_status zb_server_drain(zb_server *server, int64_t timeout_ns);

// Waits until the server has stopped by itself or by another thread. Any thread but a handler's.
zb_status zb_server_wait(zb_server *server, int64_t timeout_ns);

// ZB_OK: it takes requests; ZB_NONE: it does not. Any thread, at any time.
zb_status zb_server_is_running(const zb_server *server);

// Stops the server, waits for a handler that is busy, and frees it. Afterwards no callback of it
// is called. In a callback of it: ZB_BUSY. Any other thread.
zb_status zb_server_free(zb_server *server);

// The name of a status, such as "ZB_FULL"; "unknown" for a number that is none. Never NULL, never
// to be freed. Any thread.
const char *zb_status_name(int32_t status);

// Opens the buffer `name` to be looked at. It begins with the newest frame that is there. Any
// thread.
//
// # Safety
//
// `name` is a text; `tap` can be written to.
zb_status zb_tap_open(const char *name, zb_tap **tap);

// Frees the tap; a call that another thread is in ends with ZB_CLOSED first. Any thread.
zb_status zb_tap_close(zb_tap *tap);

// Copies the next frame and shows it: `data` and `size` are valid until the next call on this tap,
// `sequence` may be NULL. ZB_TIMEOUT: none came. ZB_PEER_GONE: the buffer has ended. What is
// overwritten before it is copied is missed, and counted. One thread at a time.
//
// # Safety
//
// `data` and `size` can be written to; `sequence` is NULL or can be written to.
zb_status zb_tap_next(zb_tap *tap,
                      int64_t timeout_ns,
                      const void **data,
                      size_t *size,
                      uint64_t *sequence);

// As zb_tap_next, for the newest frame; those before it do not count as missed. One thread at a
// time.
//
// # Safety
//
// As zb_tap_next.
zb_status zb_tap_latest(zb_tap *tap,
                        int64_t timeout_ns,
                        const void **data,
                        size_t *size,
                        uint64_t *sequence);

// Copies the metadata as zb_reader_metadata. One thread at a time.
//
// # Safety
//
// As zb_reader_metadata.
zb_status zb_tap_metadata(zb_tap *tap, void *data, size_t capacity, size_t *size);

// ZB_OK: a writer is attached; ZB_NONE: none is; ZB_PEER_GONE: the buffer has ended. One thread at
// a time.
zb_status zb_tap_state(zb_tap *tap);

// ZB_STAT_LOST, the frames that were missed, or ZB_STAT_CAPACITY. ZB_NONE: it is not known. One
// thread at a time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_tap_stat(const zb_tap *tap, int32_t key, uint64_t *value);

// The library's version, such as "2.0.0". Any thread.
const char *zb_version(void);

// The library's ZB_ABI_VERSION, to be compared with the header's. Any thread.
uint32_t zb_abi_version(void);

// Connects to the buffer `name`, which its reader has created; waits for that as
// ZB_CONNECT_TIMEOUT says, by default not at all. `options` may be NULL. Any thread.
//
// # Safety
//
// `name` is a text; `writer` can be written to.
zb_status zb_writer_connect(const char *name, const zb_options *options, zb_writer **writer);

// Gives up a pending loan, tells the reader and frees the writer. Published frames stay readable.
// A call that another thread is in ends with ZB_CLOSED first. Any thread.
zb_status zb_writer_close(zb_writer *writer);

// Copies `size` bytes into the ring as one frame. `sequence` gets its number, and may be NULL. A
// full ring is handled as ZB_FULL_RING says: ZB_FULL after the write timeout, or ZB_DROPPED. One
// thread at a time.
//
// # Safety
//
// `data` points to `size` bytes; `sequence` is NULL or can be written to.
zb_status zb_writer_write(zb_writer *writer, const void *data, size_t size, uint64_t *sequence);

// As zb_writer_write, but a full ring is ZB_FULL at once. One thread at a time.
//
// # Safety
//
// As zb_writer_write.
zb_status zb_writer_try_write(zb_writer *writer, const void *data, size_t size, uint64_t *sequence);

// As zb_writer_write, for a frame that lies in `count` pieces. One thread at a time.
//
// # Safety
//
// `parts` points to `count` parts, each of which points to its bytes.
zb_status zb_writer_write_parts(zb_writer *writer,
                                const zb_part *parts,
                                size_t count,
                                uint64_t *sequence);

// Lends `size` bytes of the ring, to be filled in place; `data` gets where. They stay lent until
// zb_writer_commit, zb_writer_abort, the next write or loan, which gives them up, or the close. A
// full ring is ZB_FULL, after the write timeout. One thread at a time.
//
// # Safety
//
// `data` can be written to.
zb_status zb_writer_loan(zb_writer *writer, size_t size, void **data);

// Publishes the first `size` bytes of the loan. `sequence` gets the frame's number, and may be
// NULL. One thread at a time.
//
// # Safety
//
// `sequence` is NULL or can be written to.
zb_status zb_writer_commit(zb_writer *writer, size_t size, uint64_t *sequence);

// Gives up the loan; nothing is published. ZB_NONE: there was none. One thread at a time.
zb_status zb_writer_abort(zb_writer *writer);

// Writes the metadata, once per writer; waits at most the write timeout for an earlier writer's
// frames to be read. One thread at a time.
//
// # Safety
//
// `data` points to `size` bytes.
zb_status zb_writer_set_metadata(zb_writer *writer, const void *data, size_t size);

// Changes how long one write waits for room, negative for ever. One thread at a time.
zb_status zb_writer_set_write_timeout(zb_writer *writer, int64_t timeout_ns);

// The number that the next frame gets. One thread at a time.
//
// # Safety
//
// `sequence` can be written to.
zb_status zb_writer_next_sequence(const zb_writer *writer, uint64_t *sequence);

// A descriptor as zb_reader_event_fd, for a ring that was full. It is readable when
// zb_writer_try_write may succeed, or has something else to say; ZB_FULL makes it unreadable.
// Linux only, elsewhere ZB_ERROR. One thread at a time.
//
// # Safety
//
// `descriptor` can be written to.
zb_status zb_writer_event_fd(zb_writer *writer, int32_t *descriptor);

// ZB_OK: the reader is alive and owns the buffer; ZB_PEER_GONE: it is not. Any thread, at any
// time.
zb_status zb_writer_has_reader(const zb_writer *writer);

// A number about the writer, such as ZB_STAT_FRAMES. Any thread, at any time.
//
// # Safety
//
// `value` can be written to.
zb_status zb_writer_stat(const zb_writer *writer, int32_t key, uint64_t *value);

// Ends the blocked call of another thread, and each later one, with ZB_CLOSED, until
// zb_writer_resume. A loan can still be committed. Any thread, at any time.
zb_status zb_writer_interrupt(zb_writer *writer);

// Takes zb_writer_interrupt back. Any thread, at any time.
zb_status zb_writer_resume(zb_writer *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ZEROBUFFER_H */
