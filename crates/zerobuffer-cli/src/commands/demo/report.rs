//! What `demo` prints: a page for people, or JSON.
use std::fmt::Write as _;

use serde::Serialize;

use super::latency::Latency;
use super::writer::Measured;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::rate::Rate;
use crate::{size, time};

/// What a camera sends, in frames per second.
const CAMERA: f64 = 60.0;

/// All runs of one demo.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    frames: String,
    frame_bytes: u64,
    ring_bytes: u64,
    /// Always true: a byte that differs or a frame that is missing ends the demo with an error
    /// instead.
    verified: bool,
    runs: Vec<RunReport>,
}

#[derive(Debug, Serialize)]
struct RunReport {
    /// `null`: at full speed.
    target_fps: Option<f64>,
    seconds: f64,
    frames: u64,
    bytes: u64,
    frames_per_second: f64,
    gigabytes_per_second: f64,
    latency: Option<Latency>,
    latency_samples: usize,
    writer_cpu_percent: f64,
    reader_cpu_percent: f64,
}

impl Report {
    pub(super) fn new(frames: String, frame_bytes: u64, ring_bytes: u64) -> Report {
        Report { frames, frame_bytes, ring_bytes, verified: true, runs: Vec::new() }
    }

    /// Adds a run in which the reader has found every byte as it should be.
    pub(super) fn push(
        &mut self,
        rate: Option<Rate>,
        (writer, reader): (Measured, Measured),
    ) -> Result<(), Fail> {
        if (writer.frames, writer.bytes) != (reader.frames, reader.bytes) {
            return Err(Fail::new(
                Exit::Mismatch,
                format!(
                    "{} frames ({} bytes) were sent, {} ({} bytes) received",
                    writer.frames, writer.bytes, reader.frames, reader.bytes
                ),
            ));
        }
        let samples = writer.stamps.until(&reader.stamps);
        let latency_samples = samples.len();
        let nanos = reader.end_ns.saturating_sub(writer.start_ns).max(1);
        let percent = |end: &Measured| {
            let span = end.end_ns.saturating_sub(end.start_ns).max(1);
            100.0 * float(end.cpu_ns) / float(span)
        };
        let seconds = float(nanos) / 1e9;
        self.runs.push(RunReport {
            target_fps: rate.map(Rate::as_f64),
            seconds,
            frames: reader.frames,
            bytes: reader.bytes,
            frames_per_second: float(reader.frames) / seconds,
            gigabytes_per_second: float(reader.bytes) / float(nanos),
            latency: Latency::of(samples),
            latency_samples,
            writer_cpu_percent: percent(&writer),
            reader_cpu_percent: percent(&reader),
        });
        Ok(())
    }

    /// The page for people; writing to a String cannot fail, hence the ignored results.
    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        let _ = writeln!(
            page,
            "{} ({}) through a ring of {}, writer and reader in a process each",
            self.frames,
            size::human(self.frame_bytes),
            size::human(self.ring_bytes)
        );
        for run in &self.runs {
            run.print(&mut page);
        }
        let frames: u64 = self.runs.iter().map(|run| run.frames).sum();
        let bytes: u64 = self.runs.iter().map(|run| run.bytes).sum();
        let _ = writeln!(
            page,
            "\nVerified: every byte of {frames} frames ({}) arrived as sent.",
            size::human(bytes)
        );
        self.in_short(&mut page);
        page
    }
}

impl Report {
    /// The figures in words, and what to try next.
    fn in_short(&self, page: &mut String) {
        let full = self.runs.iter().find(|run| run.target_fps.is_none());
        let paced = self.runs.iter().find(|run| run.target_fps.is_some());
        if let Some(full) = full {
            let cameras = full.frames_per_second / CAMERA;
            let _ = writeln!(
                page,
                "\nIn short: {:.0} frames a second went from one process to the other, as many as {cameras:.1} cameras of {CAMERA:.0} frames a second send.",
                full.frames_per_second
            );
        }
        if let Some(latency) = paced.and_then(|run| run.latency) {
            let _ = writeln!(
                page,
                "At a camera's pace half of the frames were there {} after they were sent, 99 of 100 within {}.",
                time::human(latency.p50_ns),
                time::human(latency.p99_ns)
            );
        }
        let _ = writeln!(
            page,
            "\nNext: `zerobuffer recv cam --format null` here, `zerobuffer send cam --input FILE.y4m --loop --realtime` in a second\nterminal, `zerobuffer top` in a third."
        );
    }
}

impl RunReport {
    fn print(&self, page: &mut String) {
        let (title, note) = match self.target_fps {
            None => (String::from("At full speed"), ", the wait in a filled ring included"),
            Some(fps) => (format!("At {fps:.4} frames/s").replace(".0000", ""), ""),
        };
        let _ = writeln!(page, "\n{title}, {:.1} s:", self.seconds);
        let _ = writeln!(
            page,
            "  throughput  {:.1} frames/s, {:.2} GB/s",
            self.frames_per_second, self.gigabytes_per_second
        );
        if let Some(latency) = self.latency {
            let _ = writeln!(
                page,
                "  latency     p50 {}, p90 {}, p99 {}, max {} ({} frames{note})",
                time::human(latency.p50_ns),
                time::human(latency.p90_ns),
                time::human(latency.p99_ns),
                time::human(latency.max_ns),
                self.latency_samples
            );
        }
        let _ = writeln!(
            page,
            "  processor   writer {:.0} % (making frames), reader {:.0} % (comparing them) of one core",
            self.writer_cpu_percent, self.reader_cpu_percent
        );
    }
}

/// For ratios: 2^53 nanoseconds are 104 days, 2^53 bytes are 8 PiB.
#[allow(clippy::cast_precision_loss)]
fn float(value: u64) -> f64 {
    value as f64
}
