//! `zerobuffer-bridge ls`: the streams that the bridges send and receive that it connects to.
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zenoh::query::{ConsolidationMode, QueryTarget, Queryable};
use zenoh::sample::Locality;
use zenoh::{Session, Wait as _};

use crate::engine::{self, Side};
use crate::fail::Fail;
use crate::stop::Stop;
use crate::{keys, say, size, time};

/// Bytes of one answer: a peer may say anything.
const MOST: usize = 16 * 1024;
/// Answers that are shown.
const LINES: usize = 10_000;

/// List the streams of the bridges that it connects to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    engine: engine::Options,
    /// How long answers are waited for.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = time::parse_positive)]
    timeout: Duration,
    /// Print one JSON object for each stream.
    #[arg(long)]
    json: bool,
}

/// One end of a stream, as its bridge tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    /// `send` or `recv`.
    pub(crate) role: String,
    pub(crate) stream: String,
    /// The buffer of that machine.
    pub(crate) ring: String,
    pub(crate) host: String,
    pub(crate) policy: String,
    /// A writer is there.
    pub(crate) live: bool,
    /// Frames that came through, and their bytes.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Frames that did not.
    pub(crate) lost: u64,
    /// Receivers of a sender; 1 if a receiver has a sender.
    pub(crate) peers: u64,
    /// Of the last frame, from its ring to this one, in milliseconds; the clocks of both machines
    /// are in it.
    pub(crate) age_ms: Option<f64>,
    /// Why nothing is taken.
    pub(crate) refused: Option<String>,
}

/// What a bridge answers for one of its streams.
pub(crate) struct Info(Box<dyn Fn(&mut Line) + Send + Sync>);

impl Info {
    pub(crate) fn new(fill: impl Fn(&mut Line) + Send + Sync + 'static) -> Info {
        Info(Box::new(fill))
    }

    /// Answers for as long as the result lives.
    pub(crate) fn declare(
        self,
        session: &Session,
        bridge: &str,
        stream: &str,
    ) -> zenoh::Result<Queryable<()>> {
        let key = keys::info(bridge, stream);
        let (own, stream) = (key.clone(), stream.to_owned());
        session
            .declare_queryable(key)
            .allowed_origin(Locality::Remote)
            .callback(move |query| {
                let mut line = Line { stream: stream.clone(), host: host(), ..Line::default() };
                (self.0)(&mut line);
                if let Ok(text) = serde_json::to_string(&line) {
                    let _ = query.reply(own.clone(), text).wait();
                }
            })
            .wait()
    }
}

fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default()
}

pub(crate) fn run(args: &Args, stop: &Stop) -> Result<(), Fail> {
    let session = engine::open(&args.engine, Side::Connects, 1 << 20)?;
    let until = Instant::now() + args.timeout;
    // A connection that is just being made has no answers yet.
    let mut lines = loop {
        let left = until.saturating_duration_since(Instant::now());
        let lines = ask(&session, left)?;
        if !lines.is_empty() || left.is_zero() || !stop.sleep(Duration::from_millis(100)) {
            break lines;
        }
    };
    let _ = session.close().wait();
    if lines.is_empty() {
        return Err(Fail::absent(
            "no bridge answers: is one running where --connect says, or on this machine?",
        ));
    }
    lines.sort_by(|a, b| (&a.stream, &b.role, &a.host, &a.ring).cmp(&(&b.stream, &a.role, &b.host, &b.ring)));
    let text = if args.json { json(&lines) } else { table(&lines) };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Fail::other(format!("cannot print: {error}")))
}

fn ask(session: &Session, time: Duration) -> Result<Vec<Line>, Fail> {
    let failed = |error: zenoh::Error| Fail::other(format!("cannot ask: {error}"));
    let replies = session
        .get(keys::INFOS)
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .allowed_destination(Locality::Remote)
        .timeout(time.max(Duration::from_millis(100)))
        .wait()
        .map_err(failed)?;
    let line = |reply: zenoh::query::Reply| {
        let sample = reply.into_result().ok()?;
        let bytes = Some(sample.payload()).filter(|payload| payload.len() <= MOST)?.to_bytes();
        serde_json::from_slice(&bytes).ok()
    };
    Ok(replies.into_iter().filter_map(line).take(LINES).collect())
}

fn json(lines: &[Line]) -> String {
    lines.iter().filter_map(|line| serde_json::to_string(line).ok()).map(|line| line + "\n").collect()
}

fn table(lines: &[Line]) -> String {
    let head =
        ["STREAM", "ROLE", "HOST", "BUFFER", "POLICY", "STATE", "FRAMES", "BYTES", "LOST", "PEERS", "AGE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for line in lines {
        let state = match &line.refused {
            Some(reason) => format!("refuses: {reason}"),
            None => if line.live { "live" } else { "idle" }.to_owned(),
        };
        let age = line.age_ms.map_or_else(|| "-".to_owned(), |age| format!("{age:.1} ms"));
        let policy = if line.policy.is_empty() { "-" } else { &line.policy };
        let row = [
            line.stream.as_str(),
            &line.role,
            &line.host,
            &line.ring,
            policy,
            &state,
            &line.frames.to_string(),
            &size::human(line.bytes),
            &line.lost.to_string(),
            &line.peers.to_string(),
            &age,
        ];
        rows.push(row.iter().map(|cell| say::plain(cell)).collect());
    }
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_cannot_steer_a_terminal() {
        let line = Line { stream: "cam\u{1b}[2J\n".to_owned(), role: "send".to_owned(), ..Line::default() };
        let text = table(&[line]);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
    }
}
