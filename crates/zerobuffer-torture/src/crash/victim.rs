//! The processes that end at a crash point: short scripts that pass through everything an endpoint
//! does.

use super::channel_victim;
use crate::{
    child::{Orders, say},
    ledger::{Field, Ledger},
    pattern::Pattern,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{path::Path, thread, time::Duration};
use zerobuffer::{BufferConfig, Frame, Reader, WaitStrategy, Writer, WriterConfig, observe};

/// A small ring, so a few frames meet every kind of wrap.
pub(crate) const PAYLOAD: u64 = 512;
pub(crate) const PATTERN: Pattern = Pattern { key: 0x0C4A_5409, max: PAYLOAD - 16 };
/// Frames that legacy form places from every position.
pub(crate) const SMALL: Pattern = Pattern { max: 200, ..PATTERN };
/// Frames that a writer sends.
pub(crate) const FRAMES: u64 = 20;
/// Longer than any pause of a survivor, shorter than a hang.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn buffer() -> BufferConfig {
    BufferConfig::ring(PAYLOAD).metadata(128).wait(WaitStrategy::Block)
}

pub(crate) fn patient() -> WriterConfig {
    let config = WriterConfig::default().connect_timeout(PATIENCE).write_timeout(Some(PATIENCE));
    config.wait(WaitStrategy::Block)
}

/// `script NAME LEDGER`
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [script, name, ledger] = words else { bail!("victim SCRIPT NAME LEDGER") };
    match script.as_str() {
        "writer" => writer(name, Path::new(ledger), PATTERN),
        "legacy-writer" => writer(name, Path::new(ledger), SMALL),
        "reader" => reader(name, Path::new(ledger), PATTERN),
        "legacy-reader" => reader(name, Path::new(ledger), SMALL),
        "idle" => idle(name),
        "clean" => clean(name),
        "client" => channel_victim::client(name),
        "server" => channel_victim::server(name),
        "idle-server" => channel_victim::idle_server(name),
        other => bail!("no script is called {other}"),
    }
}

fn writer(name: &str, ledger: &Path, pattern: Pattern) -> Result<()> {
    Orders::listen();
    let mut writer = Writer::connect_with(name, patient()).context("connect")?;
    let ledger = Ledger::create(ledger)?;
    ledger.set(Field::First, writer.next_sequence());
    say("attached");
    let metadata = writer.set_metadata(&metadata_of(writer.next_sequence()));
    if pattern.max == PATTERN.max {
        metadata.context("metadata")?;
    }
    for round in 0..FRAMES {
        let sequence = writer.next_sequence();
        let size = pattern.size(sequence);
        match round % 4 {
            0 => drop(writer.write(&pattern.content(sequence)).context("write")?),
            1 => {
                writer.loan(size.div_ceil(2)).context("loan")?.fill(0xEE);
                let mut loan = writer.loan(size).context("loan")?;
                pattern.fill(&mut loan, sequence);
                loan.commit().context("commit")?;
            }
            2 => {
                let most = writer.max_frame_size() as usize;
                let mut loan = writer.loan((size + 9).min(most)).context("loan")?;
                pattern.fill(loan.split_at_mut(size).0, sequence);
                loan.commit_len(size).context("commit_len")?;
            }
            _ => {
                writer.begin(size).context("begin")?;
                pattern.fill(writer.pending().unwrap_or_default(), sequence);
                writer.commit(size).context("commit")?;
            }
        }
        ledger.frame(sequence, size);
    }
    writer.close()?;
    Ok(())
}

fn reader(name: &str, ledger: &Path, pattern: Pattern) -> Result<()> {
    Orders::listen();
    let mut reader = Reader::create(name, buffer()).context("create")?;
    let ledger = Ledger::create(ledger)?;
    say("created");
    let mut held: Vec<Frame> = Vec::new();
    for count in 0..FRAMES {
        match reader.read_timeout(PATIENCE) {
            Ok(Some(frame)) => {
                pattern.check(frame.data(), frame.sequence()).map_err(anyhow::Error::msg)?;
                if count == 0 && pattern.max != PATTERN.max {
                    // While it is held a writer that comes keeps to legacy form.
                    reader.wait_for_writer(Duration::from_millis(300))?;
                    thread::sleep(Duration::from_millis(10));
                }
                ledger.frame(frame.sequence(), frame.len());
                held.push(frame);
            }
            Err(zerobuffer::Error::WriterGone { .. }) => {
                // With nothing held, the next look leaves the native form.
                held.clear();
                let _ = reader.try_read();
                break;
            }
            Ok(None) => bail!("no frame within {PATIENCE:?}"),
            Err(error) => return Err(error).context("read"),
        }
        // Two in turn, the younger one first.
        if count % 2 == 1 || !may_hold(pattern, reader.stats().frames) {
            held.pop();
            held.clear();
        }
    }
    drop(held);
    reader.close()?;
    Ok(())
}

/// Whether the frame after `sequence` finds room while this one is held, wherever it begins.
pub(crate) fn may_hold(pattern: Pattern, sequence: u64) -> bool {
    let total = |sequence| pattern.size(sequence) as u64 + 32;
    total(sequence) + 2 * total(sequence + 1) <= PAYLOAD
}

pub(crate) fn check(frame: &Frame) -> Result<()> {
    PATTERN.check(frame.data(), frame.sequence()).map_err(anyhow::Error::msg)
}

/// What a writer that begins with this frame says of itself; not of one length.
pub(crate) fn metadata_of(first: u64) -> Vec<u8> {
    format!("{first} {}", "whole".repeat(usize::try_from(first % 7).unwrap_or(0))).into_bytes()
}

/// The metadata that are shown with a frame are whole, and of a writer that had begun by then.
pub(crate) fn check_metadata(reader: &Reader, sequence: u64) -> Result<()> {
    let metadata = reader.metadata()?.context("a frame without metadata")?;
    let text = String::from_utf8_lossy(&metadata);
    let first: u64 = text.split(' ').next().unwrap_or_default().parse().context("the metadata")?;
    ensure!(*metadata == *metadata_of(first), "torn metadata: {text}");
    ensure!(first <= sequence, "frame {sequence} with the metadata of a successor: {text}");
    Ok(())
}

/// Creates the buffer and waits for its end.
fn idle(name: &str) -> Result<()> {
    Orders::listen();
    let _reader = Reader::create(name, buffer()).context("create")?;
    say("created");
    loop {
        thread::park();
    }
}

fn clean(name: &str) -> Result<()> {
    for orphan in observe::orphans()?.iter().filter(|orphan| orphan.name == name) {
        observe::remove(orphan)?;
    }
    Ok(())
}
