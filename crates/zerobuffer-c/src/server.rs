//! The answering end of a channel.

use crate::{
    arguments::{Out, text, time},
    border::border,
    fault::Fault,
    frame::{self, zb_frame},
    options::{self, zb_options},
    responder::{self, zb_responder},
    slots::Kind,
    status::zb_status::{self, ZB_BUSY, ZB_NONE, ZB_OK, ZB_TIMEOUT},
    table::Table,
};
use std::{
    ffi::{CString, c_char, c_void},
    ptr,
    sync::{Arc, Mutex, PoisonError},
};
use zerobuffer::duplex::{BoxError, HandlerError, Server, ServerConfig};

/// The answering end of a channel.
#[derive(Debug)]
pub struct zb_server {
    _opaque: (),
}

/// Answers one request, on a thread of the server. `request` and `responder` are valid until it
/// returns; it may release the request before that. 0: it has answered. Another number: it failed,
/// which the client and the error callback learn.
pub type zb_handler_fn = Option<
    unsafe extern "C-unwind" fn(
        user: *mut c_void,
        request: *mut zb_frame,
        responder: *mut zb_responder,
    ) -> i32,
>;

/// Gets a client's metadata before its first request; `data` is NULL if it has written none. Valid
/// during the call, on a thread of the server.
pub type zb_init_fn =
    Option<unsafe extern "C-unwind" fn(user: *mut c_void, data: *const c_void, size: usize)>;

/// Gets the text of what went wrong in a server, on the thread where it happens.
pub type zb_error_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void, text: *const c_char)>;

/// A callback's own argument.
#[derive(Clone, Copy)]
struct User(*mut c_void);

// SAFETY: the caller that sets a callback promises that any thread may call it with this.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    /// By a method, so a closure takes all of it.
    fn get(self) -> *mut c_void {
        self.0
    }
}

/// A server, which begins when it is first started.
struct Serving {
    channel: String,
    config: Option<ServerConfig>,
    server: Option<Arc<Server>>,
}

static SERVERS: Table<(), Arc<Mutex<Serving>>> = Table::new(Kind::Server, "server");

/// Runs on what there is; the lock is not held while anything waits.
fn with<R>(
    server: *const zb_server,
    call: impl FnOnce(&mut Serving) -> Result<R, Fault>,
) -> Result<R, Fault> {
    let serving = SERVERS.control(server)?;
    call(&mut serving.lock().unwrap_or_else(PoisonError::into_inner))
}

fn started(server: *const zb_server) -> Result<Option<Arc<Server>>, Fault> {
    with(server, |serving| Ok(serving.server.clone()))
}

/// Makes a server of `channel`, which does nothing before zb_server_start. `options` may be NULL.
/// Any thread.
///
/// # Safety
///
/// `channel` is a text; `server` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_server_new(
    channel: *const c_char,
    options: *const zb_options,
    server: *mut *mut zb_server,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(server, "the server") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let channel = unsafe { text(channel, "the channel") }?.to_owned();
        let serving = Serving { channel, config: Some(options::server(options)?), server: None };
        out.set(SERVERS.insert((), Arc::new(Mutex::new(serving)))?);
        Ok(ZB_OK)
    })
}

fn configure(
    server: *mut zb_server,
    change: impl FnOnce(ServerConfig) -> ServerConfig,
) -> Result<zb_status, Fault> {
    with(server, |serving| {
        let Some(config) = serving.config.take() else {
            return Err(Fault::new(ZB_BUSY, "a callback has to be set before the server is first started"));
        };
        serving.config = Some(change(config));
        Ok(ZB_OK)
    })
}

/// Adds a callback for what goes wrong, before the first start. Any thread.
///
/// # Safety
///
/// `function` may be called with `user`, on any thread, until zb_server_free has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_server_on_error(
    server: *mut zb_server,
    function: zb_error_fn,
    user: *mut c_void,
) -> zb_status {
    border(|| {
        let Some(function) = function else { return Err(Fault::argument("the callback is NULL")) };
        let user = User(user);
        configure(server, |config| {
            config.on_error(move |failure| {
                let text = CString::new(failure.to_string().replace('\0', "\\0")).unwrap_or_default();
                // SAFETY: the caller's promise.
                unsafe { function(user.get(), text.as_ptr()) }
            })
        })
    })
}

/// Sets the callback that gets each client's metadata, before the first start. Any thread.
///
/// # Safety
///
/// As zb_server_on_error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_server_on_init(
    server: *mut zb_server,
    function: zb_init_fn,
    user: *mut c_void,
) -> zb_status {
    border(|| {
        let Some(function) = function else { return Err(Fault::argument("the callback is NULL")) };
        let user = User(user);
        configure(server, |config| {
            config.on_init(move |metadata| {
                let (data, size) = metadata.map_or((ptr::null(), 0), |data| (data.as_ptr(), data.len()));
                // SAFETY: the caller's promise.
                unsafe { function(user.get(), data.cast(), size) };
                Ok(())
            })
        })
    })
}

fn start(server: *mut zb_server, handler: zb_handler_fn, user: *mut c_void, edits: bool) -> zb_status {
    border(|| {
        let Some(handler) = handler else { return Err(Fault::argument("the handler is NULL")) };
        let user = User(user);
        let server = with(server, |serving| {
            if let Some(config) = serving.config.take() {
                serving.server = Some(Arc::new(Server::new(&serving.channel, config)));
            }
            serving.server.clone().ok_or_else(|| Fault::new(ZB_BUSY, "the server is being freed"))
        })?;
        server.start(move |request, responder| {
            let sequence = request.sequence();
            let request = frame::insert(request, sequence).map_err(failed)?;
            let responder = responder::insert(responder).map_err(failed)?;
            // SAFETY: the caller of `zb_server_start` promises that the handler may be called so.
            let code = unsafe { handler(user.get(), request, responder) };
            let responder = responder::take(responder);
            let answered = frame::take(request, |request| {
                if let (0, true, Some(mut responder)) = (code, edits, responder)
                    && !responder.is_answered()
                {
                    responder.write(request.data())?;
                }
                Ok(())
            });
            if code != 0 {
                return Err(HandlerError::new("error", format!("the handler returned {code}")).into());
            }
            answered.unwrap_or(Ok(()))
        })?;
        Ok(ZB_OK)
    })
}

fn failed(fault: Fault) -> BoxError {
    fault.into_text().into()
}

/// Creates the request buffer and serves from now on: `handler` gets each request and answers it by
/// its responder. A server that was stopped may be started again. Any thread.
///
/// # Safety
///
/// `handler` may be called with `user`, on any thread, several at a time with ZB_THREADS, until
/// zb_server_free has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_server_start(
    server: *mut zb_server,
    handler: zb_handler_fn,
    user: *mut c_void,
) -> zb_status {
    start(server, handler, user, false)
}

/// As zb_server_start; what the handler makes of the request's data is the response, unless it has
/// answered or released the request. Any thread.
///
/// # Safety
///
/// As zb_server_start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_server_start_editing(
    server: *mut zb_server,
    handler: zb_handler_fn,
    user: *mut c_void,
) -> zb_status {
    start(server, handler, user, true)
}

/// Takes no further request and closes the channel's buffers, within 200 ms. ZB_TIMEOUT: a handler
/// is still busy, and left alone. Any thread, also in a handler.
#[unsafe(no_mangle)]
pub extern "C" fn zb_server_stop(server: *mut zb_server) -> zb_status {
    border(|| {
        let ended = started(server)?.is_none_or(|server| server.stop());
        Ok(if ended { ZB_OK } else { ZB_TIMEOUT })
    })
}

/// Handles what has been sent, then stops. ZB_TIMEOUT: that was not done in time, and it was
/// stopped. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_server_drain(server: *mut zb_server, timeout_ns: i64) -> zb_status {
    border(|| {
        let Some(server) = started(server)? else { return Ok(ZB_OK) };
        let drained = match time(timeout_ns) {
            Some(timeout) => server.drain(timeout),
            None => server.begin_drain() && server.wait(None),
        };
        Ok(if drained { ZB_OK } else { ZB_TIMEOUT })
    })
}

/// Waits until the server has stopped by itself or by another thread. Any thread but a handler's.
#[unsafe(no_mangle)]
pub extern "C" fn zb_server_wait(server: *mut zb_server, timeout_ns: i64) -> zb_status {
    border(|| {
        let ended = started(server)?.is_none_or(|server| server.wait(time(timeout_ns)));
        Ok(if ended { ZB_OK } else { ZB_TIMEOUT })
    })
}

/// ZB_OK: it takes requests; ZB_NONE: it does not. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_server_is_running(server: *const zb_server) -> zb_status {
    border(|| Ok(if started(server)?.is_some_and(|server| server.is_running()) { ZB_OK } else { ZB_NONE }))
}

/// Stops the server, waits for a handler that is busy, and frees it. Afterwards no callback of it
/// is called. In a callback of it: ZB_BUSY. Any other thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_server_free(server: *mut zb_server) -> zb_status {
    border(|| {
        if let Some(running) = started(server)?
            && !running.stop()
        {
            if !running.begin_drain() {
                return Err(Fault::new(
                    ZB_BUSY,
                    "a server cannot be freed by its own handler: stop it there",
                ));
            }
            running.wait(None);
        }
        SERVERS.close(server, |_| ())?;
        Ok(ZB_OK)
    })
}
