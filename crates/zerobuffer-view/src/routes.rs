//! Which address gives what.
use std::io;

use crate::feed::Feeds;
use crate::http::{Exchange, Response, Status};
use crate::snapshot::Kind;
use crate::streams::Streams;
use crate::{Guard, assets, metrics, mjpeg, snapshot, socket};

/// Buffers that `/metrics` shows: each is a set of time series.
const MOST_SERIES: usize = 1000;

pub(crate) fn answer(exchange: Exchange, guard: &Guard, streams: &Streams, feeds: &Feeds) -> io::Result<()> {
    if let Err(refusal) = guard.check(&exchange.request) {
        return exchange.respond(&refusal);
    }
    let request = exchange.request.clone();
    let unknown = |exchange: Exchange| {
        exchange.respond(&Response::text(Status::NotFound, "there is nothing at this address"))
    };
    match request.path().as_slice() {
        ["api", "streams"] => {
            let body = streams.json().to_string().into_bytes();
            exchange.respond(&Response::new(Status::Ok, "application/json", body))
        }
        ["metrics"] => {
            let page = metrics::page(&streams.now(), MOST_SERIES).into_bytes();
            exchange.respond(&Response::new(Status::Ok, metrics::CONTENT_TYPE, page))
        }
        ["ws", name] if streams.allows(name) => socket::answer(exchange, feeds, name),
        ["stream", file] => match file.strip_suffix(".mjpeg").filter(|name| streams.allows(name)) {
            Some(name) => mjpeg::answer(exchange, feeds, name),
            None => unknown(exchange),
        },
        ["snapshot", file] => match Kind::of(file).filter(|(name, _)| streams.allows(name)) {
            Some((name, kind)) => snapshot::answer(exchange, feeds, name, kind),
            None => unknown(exchange),
        },
        path => match assets::find(path) {
            Some(response) => exchange.respond(&response),
            None => unknown(exchange),
        },
    }
}
