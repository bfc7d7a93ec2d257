//! The library's log, handed to a callback.

use crate::{
    border::border,
    fault::Fault,
    status::zb_status::{self, ZB_OK},
};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::{
    cell::Cell,
    ffi::{CString, c_char, c_void},
    sync::{Once, PoisonError, RwLock},
};

/// Level: nothing is logged.
pub const ZB_LOG_OFF: i32 = 0;
/// Level: what went wrong.
pub const ZB_LOG_ERROR: i32 = 1;
/// Level: what may be wrong.
pub const ZB_LOG_WARN: i32 = 2;
/// Level: buffers that are made and left.
pub const ZB_LOG_INFO: i32 = 3;
/// Level: for those who look for a fault.
pub const ZB_LOG_DEBUG: i32 = 4;

/// Gets one line of the log, with a ZB_LOG_ level. On whichever thread logs, perhaps several at a
/// time, and perhaps under locks of the library: it must not call the library.
pub type zb_log_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void, level: i32, text: *const c_char)>;

type Function = unsafe extern "C-unwind" fn(*mut c_void, i32, *const c_char);

#[derive(Clone, Copy)]
struct Target {
    function: Function,
    user: *mut c_void,
}

// SAFETY: `zb_set_log` demands that the function may be called with it on any thread.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

static TARGET: RwLock<Option<Target>> = RwLock::new(None);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_in_callback() -> bool {
    IN_CALLBACK.try_with(Cell::get).unwrap_or(false)
}

struct Callback;

impl Log for Callback {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zerobuffer")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || is_in_callback() {
            return;
        }
        let target = TARGET.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Target { function, user }) = *target else { return };
        let level = match record.level() {
            Level::Error => ZB_LOG_ERROR,
            Level::Warn => ZB_LOG_WARN,
            Level::Info => ZB_LOG_INFO,
            Level::Debug | Level::Trace => ZB_LOG_DEBUG,
        };
        // A text with a NUL in it would end there.
        let Ok(text) = CString::new(record.args().to_string().replace('\0', "\\0")) else { return };
        let _ = IN_CALLBACK.try_with(|within| within.set(true));
        // SAFETY: `zb_set_log` demands a function that may be called so, on any thread, until
        // another one is set, for which the lock waits.
        unsafe { function(user, level, text.as_ptr()) };
        let _ = IN_CALLBACK.try_with(|within| within.set(false));
    }

    fn flush(&self) {}
}

/// Sends the library's log to `function`, from `level` on; NULL ends that. When this returns, the
/// function that was set before is not called any more. Any thread, but no log callback.
///
/// # Safety
///
/// `function` may be called with `user`, on any thread, until another one is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_set_log(function: zb_log_fn, user: *mut c_void, level: i32) -> zb_status {
    static ONCE: Once = Once::new();
    border(|| {
        let level = match level {
            ZB_LOG_OFF => LevelFilter::Off,
            ZB_LOG_ERROR => LevelFilter::Error,
            ZB_LOG_WARN => LevelFilter::Warn,
            ZB_LOG_INFO => LevelFilter::Info,
            ZB_LOG_DEBUG => LevelFilter::Debug,
            other => return Err(Fault::argument(format!("{other} is no level, ZB_LOG_OFF to ZB_LOG_DEBUG"))),
        };
        if is_in_callback() {
            return Err(Fault::new(zb_status::ZB_BUSY, "a log callback cannot set another one"));
        }
        // A Rust program that links this library may have a logger of its own, which then stays.
        ONCE.call_once(|| {
            let _ = log::set_logger(&Callback);
        });
        *TARGET.write().unwrap_or_else(PoisonError::into_inner) =
            function.map(|function| Target { function, user });
        log::set_max_level(if function.is_some() { level } else { LevelFilter::Off });
        Ok(ZB_OK)
    })
}
