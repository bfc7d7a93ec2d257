//! The targets, and whether they are met.

use super::record::Record;
use super::show::digits;
use crate::case::Kind;

/// What a ratio is taken of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Our time over theirs: small is good.
    Time,
    /// Our rate over theirs: great is good.
    Rate,
}

struct Target {
    case: &'static str,
    kind: Kind,
    size: &'static str,
    ours: &'static str,
    peer: &'static str,
    of: Of,
    bound: f64,
}

const fn time(
    case: &'static str,
    (kind, size): (Kind, &'static str),
    (ours, peer): (&'static str, &'static str),
    bound: f64,
) -> Target {
    Target { case, kind, size, ours, peer, of: Of::Time, bound }
}

const fn rate(
    case: &'static str,
    at: (Kind, &'static str),
    pair: (&'static str, &'static str),
    bound: f64,
) -> Target {
    Target { of: Of::Rate, ..time(case, at, pair, bound) }
}

const TARGETS: &[Target] = &[
    rate("stream 64 B", (Kind::Stream, "64"), ("ours", "iceoryx2"), 8.0),
    time("stream 64 B", (Kind::Stream, "64"), ("ours", "floor"), 2.0),
    time("stream 4 KiB", (Kind::Stream, "4k"), ("ours", "iceoryx2"), 0.5),
    time("stream 64 KiB", (Kind::Stream, "64k"), ("ours", "iceoryx2"), 1.0),
    time("stream 1080p", (Kind::Stream, "1080p"), ("ours", "iceoryx2"), 1.0),
    time("stream 1080p, deep ring", (Kind::Stream, "1080p-82"), ("ours", "iceoryx2"), 1.0),
    time("stream 1080p, deep ring", (Kind::Stream, "1080p-82"), ("ours", "ours-whole"), 0.65),
    rate("loan 1080p", (Kind::Loan, "1080p"), ("ours", "iceoryx2"), 2.5),
    time("round trip 64 B saturated", (Kind::Trip, "64"), ("ours", "iceoryx2"), 0.4),
    time("duplex call 64 B", (Kind::Trip, "64"), ("ours-call", "ours"), 1.15),
    time("round trip 64 B paced", (Kind::Paced, "64"), ("ours", "iceoryx2-event"), 0.5),
    time("round trip 64 B paced, tokio", (Kind::Paced, "64"), ("ours-tokio", "iceoryx2-tokio"), 0.7),
    time("round trip 1080p saturated", (Kind::Trip, "1080p"), ("ours", "iceoryx2-event"), 0.9),
    time("round trip 1080p paced", (Kind::Paced, "1080p"), ("ours", "iceoryx2-event"), 0.9),
    time("stream 64 B, C", (Kind::Stream, "64"), ("ours-c", "ours"), 1.05),
    time("stream 1080p, C", (Kind::Stream, "1080p"), ("ours-c", "ours"), 1.05),
    time("stream 64 B, C++", (Kind::Stream, "64"), ("ours-cpp", "ours"), 1.05),
    time("stream 1080p, C++", (Kind::Stream, "1080p"), ("ours-cpp", "ours"), 1.05),
    time("stream 64 B, C#", (Kind::Stream, "64"), ("ours-cs", "ours"), 2.0),
    rate("stream 64 B, Python", (Kind::Stream, "64"), ("py-ours", "py-old"), 60.0),
    rate("stream 64 B, Python", (Kind::Stream, "64"), ("py-ours", "py-iceoryx2"), 4.5),
    time("async for 64 B, Python", (Kind::Stream, "64"), ("py-ours-async", "py-ours"), 4.0),
    time("async for 64 B, uvloop", (Kind::Stream, "64"), ("py-ours-uvloop", "py-ours"), 4.0),
    time("Client.call 64 B, Python", (Kind::Trip, "64"), ("py-ours-call", "py-ours"), 2.5),
    rate("stream 1080p, Python", (Kind::Stream, "1080p"), ("py-ours", "py-old"), 3.0),
    time("stream 1080p, Python", (Kind::Stream, "1080p"), ("py-ours", "py-iceoryx2-event"), 0.9),
    time("loan 1080p, Python", (Kind::Loan, "1080p"), ("py-ours-buffer", "py-shm"), 1.2),
    time("round trip 1080p paced, Python", (Kind::Paced, "1080p"), ("py-ours", "py-iceoryx2-event"), 0.9),
    time("round trip 1080p paced, Python", (Kind::Paced, "1080p"), ("py-ours", "py-old"), 0.5),
];

/// One line of the table.
pub(crate) struct Verdict {
    pub(crate) case: String,
    pub(crate) against: String,
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl Target {
    fn verdict(&self, record: &Record) -> Option<Verdict> {
        let figure = |system| record.figure(self.kind, self.size, system).map(|spread| spread.median);
        let (ours, theirs) = (figure(self.ours)?, figure(self.peer)?);
        let (ratio, target, met) = match self.of {
            Of::Time => (ours / theirs, format!("≤ {} × its time", self.bound), ours / theirs <= self.bound),
            Of::Rate => (theirs / ours, format!("≥ {} × its rate", self.bound), theirs / ours >= self.bound),
        };
        Some(Verdict {
            case: self.case.into(),
            against: self.peer.into(),
            target,
            measured: digits(ratio),
            met,
        })
    }
}

/// Processor time is a target of its own: against every peer, within noise.
fn cpu(record: &Record) -> Vec<Verdict> {
    let cpu = |kind, size: &str, system: &str| {
        let case = record.case(kind, size, system)?;
        case.spread(super::record::Run::cpu_per_1000)
    };
    let verdict = |case: &str, (kind, size): (Kind, &str), ours: &str, peer: &str, unit: &str| {
        let (own, their) = (cpu(kind, size, ours)?, cpu(kind, size, peer)?);
        Some(Verdict {
            case: case.into(),
            against: peer.into(),
            target: "no more CPU".into(),
            measured: format!(
                "{} ({} and {} {unit})",
                digits(own.median / their.median),
                digits(own.median),
                digits(their.median)
            ),
            // Within noise: the ranges of the runs overlap.
            met: own.median <= their.median || own.min <= their.max,
        })
    };
    let rust = ["iceoryx2", "iceoryx2-event", "socket"];
    let python = ["py-old", "py-iceoryx2", "py-iceoryx2-event", "py-zmq", "py-pipe", "py-queue", "py-shm"];
    let unit = "s per 1,000";
    let paced = verdict("round trip 64 B paced, CPU", (Kind::Paced, "64"), "ours", "iceoryx2-event", unit);
    let tokio = ("ours-tokio", "iceoryx2-tokio");
    let tokio = verdict("round trip 64 B paced, tokio, CPU", (Kind::Paced, "64"), tokio.0, tokio.1, unit);
    let fps = |ours: &'static str, peers: &[&str]| -> Vec<Verdict> {
        let one = |peer: &&str| verdict("60 fps 1080p, CPU", (Kind::Fps, "1080p"), ours, peer, unit);
        peers.iter().filter_map(one).collect()
    };
    paced.into_iter().chain(tokio).chain(fps("ours", &rust)).chain(fps("py-ours", &python)).collect()
}

/// All targets whose cases the record has.
pub(crate) fn verdicts(record: &Record) -> Vec<Verdict> {
    TARGETS.iter().filter_map(|target| target.verdict(record)).chain(cpu(record)).collect()
}

/// For the terminal.
pub(crate) fn text(record: &Record) -> String {
    let line = |verdict: &Verdict| {
        let Verdict { case, against, target, measured, met } = verdict;
        let met = if *met { "met" } else { "MISSED" };
        format!("  {case:<32}{against:<18}{target:<20}{met:<8}{measured}\n")
    };
    verdicts(record).iter().map(line).collect()
}
