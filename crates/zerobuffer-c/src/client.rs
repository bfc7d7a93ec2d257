//! The asking end of a channel. All its calls may be used by any number of threads at a time.

use crate::{
    arguments::{Out, bytes, patience, text, time},
    border::border,
    fault::Fault,
    frame::{self, zb_frame},
    options::{self, zb_options},
    reader,
    slots::Kind,
    stat,
    status::zb_status::{self, ZB_NONE, ZB_OK, ZB_PEER_GONE, ZB_TIMEOUT},
    table::Table,
    writer,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
    sync::Arc,
};
use zerobuffer::duplex::{Client, Response};

/// The asking end of a channel.
#[derive(Debug)]
pub struct zb_client {
    _opaque: (),
}

static CLIENTS: Table<(), Arc<Client>> = Table::new(Kind::Client, "client");

/// Connects to the server of `channel`; waits for that as ZB_CONNECT_TIMEOUT says, by default not
/// at all. `options` may be NULL. Any thread.
///
/// # Safety
///
/// `channel` is a text; `client` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_connect(
    channel: *const c_char,
    options: *const zb_options,
    client: *mut *mut zb_client,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(client, "the client") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let channel = unsafe { text(channel, "the channel") }?;
        let (config, timeout) = options::client(options)?;
        let connected = Client::connect_within(channel, config, &mut patience(timeout))?;
        out.set(CLIENTS.insert((), Arc::new(connected))?);
        Ok(ZB_OK)
    })
}

/// Leaves the channel and frees the client; blocked calls of other threads end with ZB_CLOSED.
/// Responses stay readable. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_client_close(client: *mut zb_client) -> zb_status {
    border(|| {
        let ((), closed) = CLIENTS.close(client, |_| ())?;
        closed.close()?;
        Ok(ZB_OK)
    })
}

/// Copies a request into the request ring. `sequence` gets its number, which its response will
/// have, and may be NULL. Any thread, at any time.
///
/// # Safety
///
/// `data` points to `size` bytes; `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_send(
    client: *mut zb_client,
    data: *const c_void,
    size: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (data, out) = unsafe { (bytes(data, size)?, Out::optional(sequence)) };
        let number = CLIENTS.control(client)?.send(data)?;
        if let Some(out) = out {
            out.set(number);
        }
        Ok(ZB_OK)
    })
}

/// Lends `size` bytes of the request ring, to be filled in place; `data` gets where, `sequence`
/// the request's number, and may be NULL. Until zb_client_commit or zb_client_abort nothing else
/// can be sent, by whatever thread. Any thread, at any time.
///
/// # Safety
///
/// `data` can be written to; `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_loan(
    client: *mut zb_client,
    size: usize,
    data: *mut *mut c_void,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, number) = unsafe { (Out::required(data, "the data")?, Out::optional(sequence)) };
        out.set(ptr::null_mut());
        let client = CLIENTS.control(client)?;
        let begun = client.begin(size)?;
        let data = client.with_pending(<[u8]>::as_mut_ptr);
        out.set(data.map_or(ptr::null_mut(), <*mut u8>::cast));
        if let Some(number) = number {
            number.set(begun);
        }
        Ok(ZB_OK)
    })
}

/// Sends the first `size` bytes of the loan. `sequence` gets the request's number, and may be NULL.
/// Any thread, at any time.
///
/// # Safety
///
/// `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_commit(
    client: *mut zb_client,
    size: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::optional(sequence) };
        let number = CLIENTS.control(client)?.commit(size)?;
        if let Some(out) = out {
            out.set(number);
        }
        Ok(ZB_OK)
    })
}

/// Gives up the loan; nothing is sent. ZB_NONE: there was none. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_client_abort(client: *mut zb_client) -> zb_status {
    CLIENTS.asks(client, ZB_NONE, |client| client.abort())
}

fn hand_out(response: Response, out: &Out<*mut zb_frame>) -> Result<zb_status, Fault> {
    let sequence = response.sequence();
    out.set(frame::insert(response.into_frame(), sequence)?);
    Ok(ZB_OK)
}

/// The next response that no zb_client_call waits for. ZB_TIMEOUT: none came. ZB_REMOTE and
/// ZB_RESPONSE_TOO_LARGE stand in the place of a response whose handler failed. Any thread, at any
/// time.
///
/// # Safety
///
/// `response` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_receive(
    client: *mut zb_client,
    timeout_ns: i64,
    response: *mut *mut zb_frame,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(response, "the response") }?;
        out.set(ptr::null_mut());
        match CLIENTS.control(client)?.receive_with(&mut patience(timeout_ns))? {
            Some(response) => hand_out(response, &out),
            None => Ok(ZB_TIMEOUT),
        }
    })
}

/// Sends a request and waits for its own response, at most `timeout_ns`. A response that comes
/// later is dropped. Any thread, at any time.
///
/// # Safety
///
/// `data` points to `size` bytes; `response` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_call(
    client: *mut zb_client,
    data: *const c_void,
    size: usize,
    timeout_ns: i64,
    response: *mut *mut zb_frame,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (data, out) = unsafe { (bytes(data, size)?, Out::required(response, "the response")?) };
        out.set(ptr::null_mut());
        let client = CLIENTS.control(client)?;
        match time(timeout_ns) {
            Some(timeout) => hand_out(client.call(data, timeout)?, &out),
            None => match client.submit(data)?.wait_with(&mut patience(timeout_ns))? {
                Some(response) => hand_out(response, &out),
                None => Ok(ZB_TIMEOUT),
            },
        }
    })
}

/// Writes the client's metadata, once, which the server gets before the first request. Any thread,
/// at any time.
///
/// # Safety
///
/// `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_set_metadata(
    client: *mut zb_client,
    data: *const c_void,
    size: usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, size) }?;
        CLIENTS.control(client)?.set_metadata(data)?;
        Ok(ZB_OK)
    })
}

/// ZB_OK: the server reads requests and writes responses; ZB_PEER_GONE: it does not. Any thread, at
/// any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_client_has_server(client: *const zb_client) -> zb_status {
    CLIENTS.asks(client, ZB_PEER_GONE, |client| client.is_server_connected())
}

/// A number about the response buffer (`of_requests` 0) or the request buffer (1). Any thread, at
/// any time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_client_stat(
    client: *const zb_client,
    of_requests: i32,
    key: i32,
    value: *mut u64,
) -> zb_status {
    let number = || {
        let client = CLIENTS.control(client)?;
        let numbers = if of_requests == 0 {
            reader::numbers(&client.response_buffer())
        } else {
            writer::numbers(&client.request_buffer())
        };
        numbers.get(key)
    };
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}
