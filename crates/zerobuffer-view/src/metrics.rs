//! The state of buffers in the text format of Prometheus, version 0.0.4.
use std::fmt::Write as _;

use crate::live::{End, Live, float};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric that every buffer may have.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Live) -> Option<f64>,
}

const METRICS: [Metric; 13] = [
    Metric {
        name: "zerobuffer_frames_total",
        kind: "counter",
        help: "Frames written to the buffer since its reader created it.",
        value: |buffer| Some(float(buffer.frames)),
    },
    Metric {
        name: "zerobuffer_frames_waiting",
        kind: "gauge",
        help: "Frames that are written and not read yet.",
        value: |buffer| Some(float(buffer.frames_waiting)),
    },
    Metric {
        name: "zerobuffer_frames_per_second",
        kind: "gauge",
        help: "Frames written per second over the last two seconds.",
        value: |buffer| buffer.frames_per_second,
    },
    Metric {
        name: "zerobuffer_frames_dropped_total",
        kind: "counter",
        help: "Frames numbered in stamps and never written, since the observer began; absent without stamps.",
        value: |buffer| buffer.frames_dropped.map(float),
    },
    Metric {
        name: "zerobuffer_ring_bytes",
        kind: "gauge",
        help: "Size of the ring.",
        value: |buffer| Some(float(buffer.ring_bytes)),
    },
    Metric {
        name: "zerobuffer_ring_used_bytes",
        kind: "gauge",
        help: "Bytes of the ring that wait or are held.",
        value: |buffer| Some(float(buffer.used_bytes)),
    },
    Metric {
        name: "zerobuffer_metadata_bytes",
        kind: "gauge",
        help: "Size of the metadata block.",
        value: |buffer| Some(float(buffer.metadata_bytes)),
    },
    Metric {
        name: "zerobuffer_last_frame_age_seconds",
        kind: "gauge",
        help: "Time since the last frame was seen to come; absent while none has been seen.",
        value: |buffer| buffer.last_frame_age_seconds,
    },
    Metric {
        name: "zerobuffer_reader_alive",
        kind: "gauge",
        help: "1 if a living reader owns the buffer.",
        value: |buffer| Some(alive(buffer.reader)),
    },
    Metric {
        name: "zerobuffer_writer_alive",
        kind: "gauge",
        help: "1 if a living writer is attached.",
        value: |buffer| Some(alive(buffer.writer)),
    },
    Metric {
        name: "zerobuffer_reader_dead",
        kind: "gauge",
        help: "1 if the reader has died and left the buffer behind.",
        value: |buffer| Some(dead(buffer.reader)),
    },
    Metric {
        name: "zerobuffer_writer_dead",
        kind: "gauge",
        help: "1 if the writer has died and no other one has come.",
        value: |buffer| Some(dead(buffer.writer)),
    },
    Metric {
        name: "zerobuffer_defects",
        kind: "gauge",
        help: "Impossible values in the control block.",
        value: |buffer| Some(float(buffer.defects.len() as u64)),
    },
];

/// All metrics of the first `most` buffers, and the number of orphans where it is known.
#[must_use]
pub fn text(buffers: &[Live], most: usize, orphans: Option<usize>) -> String {
    // Writing to a String cannot fail, hence the ignored results.
    let mut text = String::new();
    let mut single = |name: &str, help: &str, value: usize| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    single("zerobuffer_up", "1: the observer works.", 1);
    single("zerobuffer_buffers", "Buffers that can be looked at, shown here or not.", buffers.len());
    if let Some(orphans) = orphans {
        single("zerobuffer_orphans", "Buffers that dead processes left behind.", orphans);
    }
    let shown = buffers.get(..most).unwrap_or(buffers);
    for metric in &METRICS {
        let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {2}", metric.name, metric.help, metric.kind);
        for buffer in shown {
            if let Some(value) = (metric.value)(buffer) {
                let _ = writeln!(text, "{}{{buffer=\"{}\"}} {value}", metric.name, label(&buffer.name));
            }
        }
    }
    text.push_str(
        "# HELP zerobuffer_peer_info Who is at an end of the buffer.\n# TYPE zerobuffer_peer_info gauge\n",
    );
    for buffer in shown {
        for (role, end) in [("writer", buffer.writer), ("reader", buffer.reader)] {
            if let Some(End { pid, level, .. }) = end {
                let name = label(&buffer.name);
                let _ = writeln!(
                    text,
                    "zerobuffer_peer_info{{buffer=\"{name}\",role=\"{role}\",pid=\"{pid}\",level=\"{level}\"}} 1"
                );
            }
        }
    }
    text
}

fn alive(end: Option<End>) -> f64 {
    f64::from(u8::from(end.is_some_and(|end| end.alive)))
}

fn dead(end: Option<End>) -> f64 {
    f64::from(u8::from(end.is_some_and(|end| !end.alive)))
}

/// A label's value: names may hold anything but a slash.
fn label(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The whole page: [`text`] with the orphans counted.
#[must_use]
pub fn page(buffers: &[Live], most: usize) -> String {
    // Whether this can be looked at is no reason to show nothing.
    let orphans = zerobuffer::observe::orphans().ok().map(|orphans| orphans.len());
    text(buffers, most, orphans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::State;

    #[test]
    fn the_text_of_a_hostile_name() {
        let buffer = Live {
            name: String::from("a\"b\\c\nd"),
            state: State::Live,
            caps: None,
            frames: 7,
            frames_per_second: None,
            bytes_per_second: None,
            frames_waiting: 1,
            frames_dropped: Some(2),
            ring_bytes: 4096,
            used_bytes: 116,
            metadata_bytes: 0,
            last_frame_age_seconds: Some(0.5),
            writer: Some(End { pid: 9, alive: false, level: 3 }),
            reader: None,
            defects: Vec::new(),
        };
        let text = text(&[buffer.clone(), buffer], 1, None);
        for line in [
            "zerobuffer_up 1",
            "zerobuffer_buffers 2",
            "# TYPE zerobuffer_frames_total counter",
            r#"zerobuffer_frames_total{buffer="a\"b\\c\nd"} 7"#,
            r#"zerobuffer_frames_dropped_total{buffer="a\"b\\c\nd"} 2"#,
            r#"zerobuffer_last_frame_age_seconds{buffer="a\"b\\c\nd"} 0.5"#,
            r#"zerobuffer_writer_alive{buffer="a\"b\\c\nd"} 0"#,
            r#"zerobuffer_writer_dead{buffer="a\"b\\c\nd"} 1"#,
            r#"zerobuffer_peer_info{buffer="a\"b\\c\nd",role="writer",pid="9",level="3"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("frames_per_second{"), "what is not known is not shown");
        assert!(!text.contains("orphans"));
    }
}
