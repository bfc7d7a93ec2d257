//! `zerobuffer bench`: how fast streams and round trips are on this machine.
pub(crate) mod peer;
mod report;
mod samples;
mod session;

use std::time::Duration;

use crate::commands::demo::FULL_HD;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::{output, size, time};

use self::report::{Report, Sized};
use self::session::Session;

/// Frames that a ring holds: as many as fit these bytes, within limits.
const RING: u64 = 4 << 20;
const DEPTH: std::ops::RangeInclusive<u64> = 8..=1024;
/// Requests of a paced round trip.
const PACE: u32 = 1000;

/// Measure streams and round trips on this machine, between two processes.
///
/// Frames are not made and not verified, only moved: see `demo` for that. Each figure is one run on
/// a machine that may be busy; run it again to see how much it varies.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bytes of a frame, 8 at the least [default: 64, then 3110400, which is 1080p I420].
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    size: Option<u64>,
    /// Duration of each of the four measurements.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time::parse_positive)]
    seconds: Duration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut report = Report::default();
    for bytes in args.size.map_or_else(|| vec![64, FULL_HD], |bytes| vec![bytes]) {
        report.sizes.push(measure(bytes, args.seconds)?);
    }
    if args.json { output::print_json(&report) } else { output::print(&report.page()) }
}

fn measure(frame_bytes: u64, seconds: Duration) -> Result<Sized, Fail> {
    let slot = frame_bytes.checked_add(zerobuffer::FRAME_HEADER_SIZE);
    let depth = (RING / slot.unwrap_or(RING).max(1)).clamp(*DEPTH.start(), *DEPTH.end());
    let ring = slot.and_then(|slot| slot.checked_mul(depth)?.checked_next_multiple_of(64));
    let (Some(ring_bytes), 8..) = (ring, frame_bytes) else {
        let words = format!(
            "frames of {frame_bytes} bytes cannot be measured: 8 bytes are the least, and {depth} of them must stay below 2^64"
        );
        return Err(Fail::new(Exit::Usage, words));
    };
    let session = Session { frame_bytes, ring_bytes, seconds };
    Ok(Sized {
        frame_bytes,
        ring_bytes,
        ring_frames: depth,
        copied_in: session.stream(false)?,
        written_in_place: session.stream(true)?,
        round_trip: session.round_trip(None)?,
        round_trip_paced: session.round_trip(Some(PACE))?,
    })
}
