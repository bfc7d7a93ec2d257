//! `/snapshot/NAME.jpg`, `.png`, `.raw`: the newest frame as a file.
use std::io;
use std::time::Duration;

use crate::encode;
use crate::feed::Feeds;
use crate::http::{Exchange, Response, Status, encode as percent};
use crate::source::{Look, Source};

/// How long a frame is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jpeg,
    Png,
    Raw,
}

impl Kind {
    /// `cam.png` is a PNG of the stream `cam`.
    pub(crate) fn of(file: &str) -> Option<(&str, Kind)> {
        let (name, ending) = file.rsplit_once('.')?;
        let kind = match ending {
            "jpg" | "jpeg" => Kind::Jpeg,
            "png" => Kind::Png,
            "raw" => Kind::Raw,
            _ => return None,
        };
        Some((name, kind))
    }
}

pub(crate) fn answer(exchange: Exchange, feeds: &Feeds, name: &str, kind: Kind) -> io::Result<()> {
    let width = exchange.request.number("width", 16, 65_535);
    let response = response(feeds, name, kind, width);
    exchange.respond(&response)
}

fn response(feeds: &Feeds, name: &str, kind: Kind, width: Option<u32>) -> Response {
    let mut source = match Source::open(feeds, name) {
        Ok(source) => source,
        Err(why) => return Response::text(Status::NotFound, &why),
    };
    let seen = match source.newer(PATIENCE) {
        Look::Frame(seen) => seen,
        Look::Nothing => return Response::text(Status::NotYet, "no frame has come yet"),
        Look::Gone(why) => return Response::text(Status::NotFound, &why),
    };
    let picture = &seen.picture;
    let (shown, frame) = (&picture.shown, &picture.bytes[..]);
    let file = |media: &'static str, ending: &str, bytes: Vec<u8>| {
        let disposition = format!("inline; filename*=UTF-8''{}-{}.{ending}", percent(name), picture.sequence);
        Response::new(Status::Ok, media, bytes)
            .header("Content-Disposition", &disposition)
            .header("X-ZeroBuffer-Sequence", &picture.sequence.to_string())
    };
    let encoded = match (kind, &shown.pixels) {
        (Kind::Raw, _) => {
            return file("application/octet-stream", "raw", shown.split(frame).1.to_vec());
        }
        (Kind::Png, Some(pixels)) => encode::png(pixels, frame),
        // Or it says why there is none.
        _ => picture.jpeg(width, encode::QUALITY).map(|bytes| bytes.to_vec()),
    };
    match encoded {
        Ok(bytes) if kind == Kind::Png => file("image/png", "png", bytes),
        Ok(bytes) => file("image/jpeg", "jpg", bytes),
        Err(why) => Response::text(Status::NoPicture, &format!("{why}; .raw has its bytes")),
    }
}
