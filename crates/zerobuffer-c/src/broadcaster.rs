//! One source, many subscribers.

use crate::{
    arguments::{Out, bytes, patience, text},
    border::{border, border_or},
    fault::Fault,
    options::{self, zb_options},
    slots::Kind,
    stat::{self, Numbers, ZB_STAT_BYTES, ZB_STAT_FRAMES, ZB_STAT_LOST, unknown},
    status::zb_status::{self, ZB_OK, ZB_TIMEOUT},
    table::Table,
    writer::{pieces, zb_part},
};
use std::{
    ffi::{CString, c_char, c_void},
    io::IoSlice,
    ptr,
    sync::Arc,
};
use zerobuffer::{Broadcaster, BroadcasterHandle, Delivery, Patience, Subscriber};

/// Broadcaster: copies in the rings of subscribers.
pub const ZB_STAT_SENT: i32 = 8;
/// Broadcaster: subscribers that came.
pub const ZB_STAT_JOINED: i32 = 9;
/// Broadcaster: subscribers that closed their buffers or died.
pub const ZB_STAT_LEFT: i32 = 10;
/// Broadcaster: subscribers that were disconnected.
pub const ZB_STAT_DISCONNECTED: i32 = 11;
/// Broadcaster: subscribers that are connected.
pub const ZB_STAT_SUBSCRIBERS: i32 = 12;

/// The sending end of a stream with any number of subscribers, each of which has a buffer of its
/// own.
#[derive(Debug)]
pub struct zb_broadcaster {
    _opaque: (),
}

/// One connected subscriber. Valid during the callback that gets it.
#[derive(Debug)]
pub struct zb_subscriber {
    _opaque: (),
}

/// Gets one subscriber. Another number than 0 ends the list.
pub type zb_subscriber_fn =
    Option<unsafe extern "C-unwind" fn(user: *mut c_void, subscriber: *const zb_subscriber) -> i32>;

static BROADCASTERS: Table<Broadcaster, BroadcasterHandle> = Table::new(Kind::Broadcaster, "broadcaster");

struct Shown {
    subscriber: Subscriber,
    buffer: CString,
    problem: Option<CString>,
}

static SUBSCRIBERS: Table<(), Arc<Shown>> = Table::new(Kind::Subscriber, "subscriber");

/// Starts the broadcast `name`. Its subscribers are the readers of buffers `name@ANYTHING`, for
/// instance of zb_reader_subscribe. A thread of the library finds them as they come. `options` may
/// be NULL; ZB_SLOW and zb_options_slow say what becomes of a frame for which a ring has no room.
/// Any thread.
///
/// # Safety
///
/// `name` is a text; `broadcaster` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_new(
    name: *const c_char,
    options: *const zb_options,
    broadcaster: *mut *mut zb_broadcaster,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(broadcaster, "the broadcaster") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name") }?;
        let broadcaster = Broadcaster::with_config(name, options::broadcaster(options)?)?;
        let handle = broadcaster.handle();
        out.set(BROADCASTERS.insert(broadcaster, handle)?);
        Ok(ZB_OK)
    })
}

/// Ends the broadcast: each subscriber reads what it has, and sees that its writer has gone. A call
/// that another thread is in ends with ZB_CLOSED first. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_broadcaster_close(broadcaster: *mut zb_broadcaster) -> zb_status {
    border(|| {
        let (closed, _) = BROADCASTERS.close(broadcaster, BroadcasterHandle::interrupt)?;
        closed.close()?;
        Ok(ZB_OK)
    })
}

/// Places for the numbers of a delivery.
struct Places {
    sent: Option<Out<usize>>,
    missed: Option<Out<usize>>,
}

impl Places {
    /// # Safety
    ///
    /// They are NULL or can be written to during the call.
    unsafe fn new(sent: *mut usize, missed: *mut usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self { sent: Out::optional(sent), missed: Out::optional(missed) } }
    }

    fn tell(&self, delivery: Delivery) {
        if let Some(sent) = &self.sent {
            sent.set(delivery.sent);
        }
        if let Some(missed) = &self.missed {
            missed.set(delivery.dropped);
        }
    }
}

fn write(
    broadcaster: *mut zb_broadcaster,
    parts: &[IoSlice<'_>],
    places: &Places,
) -> Result<zb_status, Fault> {
    places.tell(Delivery::default());
    BROADCASTERS.call(broadcaster, |broadcaster| {
        places.tell(broadcaster.write_vectored_with(parts, &mut Patience::forever())?);
        Ok(ZB_OK)
    })
}

/// Copies `size` bytes into the ring of each subscriber as one frame. `sent` gets how many have it,
/// and `missed` how many miss it, for their rings had no room; both may be NULL. Nobody is waited
/// for before all others have it. One thread at a time.
///
/// # Safety
///
/// `data` points to `size` bytes; `sent` and `missed` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_write(
    broadcaster: *mut zb_broadcaster,
    data: *const c_void,
    size: usize,
    sent: *mut usize,
    missed: *mut usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (data, places) = unsafe { (bytes(data, size)?, Places::new(sent, missed)) };
        write(broadcaster, &[IoSlice::new(data)], &places)
    })
}

/// As zb_broadcaster_write, for a frame that lies in `count` pieces. One thread at a time.
///
/// # Safety
///
/// `parts` points to `count` parts, each of which points to its bytes; `sent` and `missed` are NULL
/// or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_write_parts(
    broadcaster: *mut zb_broadcaster,
    parts: *const zb_part,
    count: usize,
    sent: *mut usize,
    missed: *mut usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (pieces, places) = unsafe { (pieces(parts, count)?, Places::new(sent, missed)) };
        write(broadcaster, &pieces, &places)
    })
}

/// Sets the metadata of the stream, for the subscribers that are there and that come. It may be
/// called again with other ones: a subscriber sees them with the first frame behind them. One
/// thread at a time.
///
/// # Safety
///
/// `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_set_metadata(
    broadcaster: *mut zb_broadcaster,
    data: *const c_void,
    size: usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, size) }?;
        BROADCASTERS.call(broadcaster, |broadcaster| Ok(broadcaster.set_metadata(data)?))?;
        Ok(ZB_OK)
    })
}

/// Waits until so many subscribers are connected; ZB_TIMEOUT: there are not in time. One thread at
/// a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_broadcaster_wait_for_subscribers(
    broadcaster: *mut zb_broadcaster,
    count: usize,
    timeout_ns: i64,
) -> zb_status {
    border(|| {
        BROADCASTERS.call(broadcaster, |broadcaster| {
            let there = broadcaster.wait_for_subscribers_with(count, &mut patience(timeout_ns))?;
            Ok(if there { ZB_OK } else { ZB_TIMEOUT })
        })
    })
}

/// A number about the broadcast: ZB_STAT_FRAMES and ZB_STAT_BYTES that were written, the copies
/// ZB_STAT_SENT and ZB_STAT_LOST, ZB_STAT_JOINED, ZB_STAT_LEFT, ZB_STAT_DISCONNECTED or
/// ZB_STAT_SUBSCRIBERS. Any thread, at any time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_stat(
    broadcaster: *const zb_broadcaster,
    key: i32,
    value: *mut u64,
) -> zb_status {
    let number = || {
        let handle = BROADCASTERS.control(broadcaster)?;
        let stats = handle.stats();
        Ok(Some(match key {
            ZB_STAT_FRAMES => stats.frames,
            ZB_STAT_BYTES => stats.bytes,
            ZB_STAT_LOST => stats.dropped,
            ZB_STAT_SENT => stats.sent,
            ZB_STAT_JOINED => stats.joined,
            ZB_STAT_LEFT => stats.left,
            ZB_STAT_DISCONNECTED => stats.disconnected,
            ZB_STAT_SUBSCRIBERS => handle.subscribers().len() as u64,
            other => return Err(unknown(other)),
        }))
    };
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}

/// Ends the blocked call of another thread, and each later one, with ZB_CLOSED. It cannot be taken
/// back. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_broadcaster_interrupt(broadcaster: *mut zb_broadcaster) -> zb_status {
    BROADCASTERS.orders(broadcaster, BroadcasterHandle::interrupt)
}

/// Shows each connected subscriber to `function`. Any thread, at any time.
///
/// # Safety
///
/// `function` may be called with `user` during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_broadcaster_subscribers(
    broadcaster: *const zb_broadcaster,
    function: zb_subscriber_fn,
    user: *mut c_void,
) -> zb_status {
    border(|| {
        let Some(function) = function else { return Err(Fault::argument("the callback is NULL")) };
        for subscriber in BROADCASTERS.control(broadcaster)?.subscribers() {
            let buffer = CString::new(subscriber.buffer.as_str()).unwrap_or_default();
            let problem = subscriber.problem.as_deref().and_then(|problem| CString::new(problem).ok());
            let handle = SUBSCRIBERS.insert((), Arc::new(Shown { subscriber, buffer, problem }))?;
            // SAFETY: the caller's promise.
            let answer = unsafe { function(user, handle) };
            SUBSCRIBERS.close::<zb_subscriber>(handle, |_| ())?;
            if answer != 0 {
                break;
            }
        }
        Ok(ZB_OK)
    })
}

/// The subscriber's buffer, `NAME@SUBSCRIBER`; NULL for what is no subscriber. Valid during the
/// callback, on any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_subscriber_buffer(subscriber: *const zb_subscriber) -> *const c_char {
    // The callback's caller holds a share of it.
    border_or(ptr::null(), || Ok(SUBSCRIBERS.control(subscriber)?.buffer.as_ptr()))
}

/// What keeps the subscriber from getting everything, in words: metadata or frames that do not fit.
/// NULL: nothing. Valid during the callback, on any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_subscriber_problem(subscriber: *const zb_subscriber) -> *const c_char {
    border_or(ptr::null(), || {
        let shown = SUBSCRIBERS.control(subscriber)?;
        Ok(shown.problem.as_ref().map_or(ptr::null(), |problem| problem.as_ptr()))
    })
}

/// A number about the subscriber: ZB_STAT_FRAMES and ZB_STAT_BYTES that it got, ZB_STAT_LOST,
/// ZB_STAT_WAITS, ZB_STAT_BLOCKED_NS or ZB_STAT_USED_PPM. During the callback, on any thread.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_subscriber_stat(
    subscriber: *const zb_subscriber,
    key: i32,
    value: *mut u64,
) -> zb_status {
    let number = || {
        let shown = SUBSCRIBERS.control(subscriber)?;
        let (counters, utilization) = (stat::of_writer(shown.subscriber.stats), shown.subscriber.utilization);
        Numbers { counters, capacity: None, metadata_capacity: None, utilization }.get(key)
    };
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}
