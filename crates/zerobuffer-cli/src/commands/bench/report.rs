//! What `bench` prints: a page for people, or JSON.
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::commands::demo::latency::Latency;
use crate::{size, time};

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) sizes: Vec<Sized>,
}

/// All figures of one frame size.
#[derive(Debug, Serialize)]
pub(super) struct Sized {
    pub(super) frame_bytes: u64,
    pub(super) ring_bytes: u64,
    pub(super) ring_frames: u64,
    pub(super) copied_in: Stream,
    pub(super) written_in_place: Stream,
    pub(super) round_trip: RoundTrip,
    pub(super) round_trip_paced: RoundTrip,
}

#[derive(Debug, Serialize)]
pub(super) struct Stream {
    frames: u64,
    seconds: f64,
    frames_per_second: f64,
    nanoseconds_per_frame: f64,
    gigabytes_per_second: f64,
    /// Of both processes.
    cpu_seconds_per_1000_frames: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct RoundTrip {
    /// `null`: the next request follows at once.
    requests_per_second: Option<u32>,
    rounds: u64,
    latency: Latency,
    /// Of both processes.
    cpu_seconds_per_1000_rounds: f64,
}

impl Stream {
    pub(super) fn new(frames: u64, frame_bytes: u64, elapsed: Duration, cpu_ns: u64) -> Stream {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let count = float(frames);
        Stream {
            frames,
            seconds,
            frames_per_second: count / seconds,
            nanoseconds_per_frame: seconds * 1e9 / count,
            gigabytes_per_second: count * float(frame_bytes) / seconds / 1e9,
            cpu_seconds_per_1000_frames: float(cpu_ns) / 1e6 / count,
        }
    }
}

impl RoundTrip {
    pub(super) fn new(per_second: Option<u32>, rounds: u64, latency: Latency, cpu_ns: u64) -> RoundTrip {
        RoundTrip {
            requests_per_second: per_second,
            rounds,
            latency,
            cpu_seconds_per_1000_rounds: float(cpu_ns) / 1e6 / float(rounds.max(1)),
        }
    }
}

impl Report {
    /// The page for people; writing to a String cannot fail, hence the ignored results.
    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        for (index, sized) in self.sizes.iter().enumerate() {
            if index > 0 {
                page.push('\n');
            }
            sized.print(&mut page);
        }
        page.push_str("\nCPU: both processes, per 1,000 frames or round trips.\n");
        page
    }
}

impl Sized {
    fn print(&self, page: &mut String) {
        let _ = writeln!(
            page,
            "Frames of {} through a ring of {} ({} frames), two processes:",
            size::human(self.frame_bytes),
            size::human(self.ring_bytes),
            self.ring_frames
        );
        for (what, stream) in [("copied in", &self.copied_in), ("written in place", &self.written_in_place)] {
            let _ = writeln!(
                page,
                "  {what:<28}{} a frame, {:.0} frames/s, {:.2} GB/s, CPU {}",
                brief(stream.nanoseconds_per_frame),
                stream.frames_per_second,
                stream.gigabytes_per_second,
                brief(stream.cpu_seconds_per_1000_frames * 1e9)
            );
        }
        for trip in [&self.round_trip, &self.round_trip_paced] {
            let what = match trip.requests_per_second {
                None => String::from("round trips, at once"),
                Some(rate) => format!("round trips, {rate} a second"),
            };
            let Latency { p50_ns, p90_ns, p99_ns, max_ns } = trip.latency;
            let [p50, p90, p99, max] = [p50_ns, p90_ns, p99_ns, max_ns].map(time::human);
            let cpu = brief(trip.cpu_seconds_per_1000_rounds * 1e9);
            let _ = writeln!(page, "  {what:<28}p50 {p50}, p90 {p90}, p99 {p99}, max {max}, CPU {cpu}");
        }
    }
}

/// Nanoseconds with a fraction: three digits.
fn brief(nanos: f64) -> String {
    if nanos < 1e3 {
        return format!("{nanos:.0} ns");
    }
    // Not negative, and below 2^53 for any span that was measured.
    #[allow(clippy::cast_sign_loss)]
    time::human(nanos as u64)
}

/// For ratios: 2^53 nanoseconds are 104 days, 2^53 bytes are 8 PiB.
#[allow(clippy::cast_precision_loss)]
fn float(value: u64) -> f64 {
    value as f64
}
