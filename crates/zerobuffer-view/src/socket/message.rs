//! What the page gets: a description where something is new, and the frame.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use zerobuffer_video::{Clock, Colorimetry, Kind, Range, Stamp, Video};

use super::head::Head;
use super::wire::{Form, Payload, Wire};
use crate::describe::Shown;
use crate::source::Seen;

/// The messages of one connection.
#[derive(Debug)]
pub(super) struct Messages {
    wire: Wire,
    /// Which description the page has.
    told: Option<u64>,
    form: Option<Form>,
    /// The payload, where it is not a part of the frame.
    spare: Option<Arc<[u8]>>,
}

/// What is to be sent for one frame.
pub(super) struct Outgoing<'a> {
    pub(super) description: Option<String>,
    pub(super) head: [u8; Head::SIZE],
    pub(super) payload: &'a [u8],
}

impl Messages {
    pub(super) fn new(wire: Wire) -> Messages {
        Messages { wire, told: None, form: None, spare: None }
    }

    pub(super) fn frame<'a>(&'a mut self, seen: &'a Seen) -> Outgoing<'a> {
        let picture = &*seen.picture;
        let (shown, frame) = (&*picture.shown, &picture.bytes[..]);
        let mut text = None;
        if self.told != Some(shown.id) {
            self.form = shown.pixels.as_ref().map(Form::of).filter(|_| self.wire == Wire::Pixels);
            text = Some(description(shown, self.form.as_ref()).to_string());
            self.told = Some(shown.id);
        }
        let stamp = shown.split(frame).0.unwrap_or_default();
        let (kind, payload) = self.wire.payload(picture, self.form.as_ref());
        let head = Head {
            kind: kind as u64,
            description: shown.id,
            sequence: picture.sequence,
            missed: seen.missed,
            size: frame.len() as u64,
            number: stamp.number.unwrap_or(Head::NONE),
            time: stamp.time_ns.unwrap_or(Head::NONE),
            latency: latency(shown.clock, stamp).unwrap_or(Head::NONE),
        };
        let payload = match payload {
            Payload::Part(bytes) => bytes,
            Payload::Made(bytes) => self.spare.insert(bytes),
        };
        Outgoing { description: text, head: head.to_bytes(), payload }
    }
}

/// Says that no stream of this name is there.
pub(super) fn gone(why: &str) -> String {
    json!({"type": "gone", "why": why}).to_string()
}

fn description(shown: &Shown, form: Option<&Form>) -> Value {
    let mut object = json!({
        "type": "description",
        "id": shown.id,
        "caps": shown.caps,
        "note": shown.note,
        "samples": shown.samples,
        "stamped": shown.is_stamped,
        "picture": null,
    });
    if let (Some(pixels), Some(slot)) = (&shown.pixels, object.get_mut("picture")) {
        let video = &pixels.video;
        *slot = json!({
            "format": video.format.name(),
            "width": video.width,
            "height": video.rows(),
            "bits": video.format.bits(),
            "rate": video.rate.map(|rate| rate.to_string()),
            "aspect": video.aspect.map(|aspect| f64::from(aspect.num()) / f64::from(aspect.den())),
            "wire": form.map(|form| form.format),
            "planes": form.map(|form| form.planes(video)),
            "color": (video.format.kind() == Kind::Yuv).then(|| color(video)),
        });
    }
    object
}

/// As `WebCodecs` names it. The transfer is the screen's: nothing but matrix and range is applied.
fn color(video: &Video) -> Value {
    let usual = video.default_colorimetry(Range::Limited);
    let said = video.colorimetry.unwrap_or(usual);
    let matrix = match said.matrix {
        Colorimetry::MATRIX_BT709 => "bt709",
        Colorimetry::MATRIX_BT2020 => "bt2020-ncl",
        Colorimetry::MATRIX_BT601 | Colorimetry::MATRIX_FCC => "smpte170m",
        _ if usual.matrix == Colorimetry::MATRIX_BT709 => "bt709",
        _ => "smpte170m",
    };
    json!({
        "matrix": matrix,
        "fullRange": said.range == Range::Full,
        "primaries": "bt709",
        "transfer": "iec61966-2-1",
    })
}

/// From the stamp's time until now, where its clock is one that this program can read.
fn latency(clock: Option<Clock>, stamp: Stamp) -> Option<u64> {
    let now = match clock? {
        Clock::Realtime => SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos(),
        Clock::Monotonic => monotonic()?,
        _ => return None,
    };
    u64::try_from(now).ok()?.checked_sub(stamp.time_ns?)
}

#[cfg(unix)]
fn monotonic() -> Option<u128> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u128::try_from(time.tv_sec).ok()?;
    Some(seconds * 1_000_000_000 + u128::try_from(time.tv_nsec).ok()?)
}

/// Its counter is no number of nanoseconds there.
#[cfg(not(unix))]
fn monotonic() -> Option<u128> {
    None
}
