//! `/ws/NAME`: the newest frame whenever the page asks for one, never a queue.
//!
//! The page sends how many frames it can take, as a number in a text message. Each frame that it
//! gets uses up one.
mod credit;
mod head;
mod message;
mod wire;

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::feed::Feeds;
use crate::http::{Exchange, Response, Status, Watch};
use crate::source::{Look, Source};
use credit::{Credit, Turn};
use message::Messages;
use wire::Wire;

/// A client that takes no byte for so long has gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one look waits for the next frame.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) fn answer(exchange: Exchange, feeds: &Feeds, name: &str) -> io::Result<()> {
    let request = &exchange.request;
    let has = |name: &str, word: &str| {
        request
            .header(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let key = request.header("sec-websocket-key").filter(|key| !key.is_empty());
    let Some(key) = key.filter(|_| {
        has("connection", "upgrade") && has("upgrade", "websocket") && has("sec-websocket-version", "13")
    }) else {
        return exchange.respond(&Response::text(Status::BadRequest, "a WebSocket of version 13 is needed"));
    };
    let accepted = Response::text(Status::SwitchingProtocols, "")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Accept", &derive_accept_key(key.as_bytes()));
    let wire = match request.query("mode") {
        Some("jpeg") => Wire::Jpeg { width: request.number("width", 16, 65_535) },
        _ => Wire::Pixels,
    };
    let pause = request.number("fps", 1, 1000).map_or(Duration::ZERO, |fps| Duration::from_secs(1) / fps);
    let Some(watch) = exchange.watch()? else { return Ok(()) };
    let stream = watch.stream();
    (&**stream).write_all(&accepted.head(true))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let credit = Credit::listen(Arc::clone(stream))?;
    let source = Source::new(feeds, name);
    source.connection(Arc::clone(stream));
    let sent = converse(&watch, &credit, source, wire, pause);
    // Ends the thread that listens, too.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    sent
}

fn converse(
    watch: &Watch,
    credit: &Credit,
    mut source: Source,
    wire: Wire,
    pause: Duration,
) -> io::Result<()> {
    let stream = &**watch.stream();
    let mut messages = Messages::new(wire);
    let mut is_heard = false;
    let (mut due, mut told) = (Instant::now(), None);
    let mut ping = Credit::next_ping();
    loop {
        match credit.turn(due, ping) {
            Turn::Closed => return Ok(()),
            Turn::Pong(bytes) => send(stream, OpCode::Control(Control::Pong), &[&bytes])?,
            Turn::Ping => {
                send(stream, OpCode::Control(Control::Ping), &[])?;
                ping = Credit::next_ping();
            }
            Turn::Frame if !is_heard => {
                watch.heard();
                is_heard = true;
            }
            Turn::Frame => match source.newer(LOOK) {
                Look::Frame(seen) => {
                    let frame = messages.frame(&seen);
                    if let Some(description) = frame.description {
                        send(stream, OpCode::Data(Data::Text), &[description.as_bytes()])?;
                    }
                    send(stream, OpCode::Data(Data::Binary), &[&frame.head, frame.payload])?;
                    credit.used();
                    due = Instant::now() + pause;
                    told = None;
                }
                Look::Nothing => {}
                Look::Gone(why) => {
                    if told.as_ref() != Some(&why) {
                        send(stream, OpCode::Data(Data::Text), &[message::gone(&why).as_bytes()])?;
                        told = Some(why);
                    }
                    due = Instant::now() + LOOK;
                }
            },
        }
    }
}

/// One message: its head and its parts, which are not copied for that.
fn send(mut stream: &TcpStream, opcode: OpCode, parts: &[&[u8]]) -> io::Result<()> {
    let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = Vec::with_capacity(header.len(length as u64));
    header.format(length as u64, &mut head).map_err(io::Error::other)?;
    let mut slices: Vec<IoSlice<'_>> =
        std::iter::once(IoSlice::new(&head)).chain(parts.iter().map(|part| IoSlice::new(part))).collect();
    let mut rest: &mut [IoSlice<'_>] = &mut slices;
    while rest.iter().any(|slice| !slice.is_empty()) {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
