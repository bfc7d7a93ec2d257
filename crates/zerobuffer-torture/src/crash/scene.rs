//! One run: a victim that ends at its crash point, the survivor, the successor, and what must hold.

use super::{
    child::Victim,
    intake::Intake,
    legacy,
    script::Script,
    stores,
    victim::{FRAMES, PATTERN, PAYLOAD, SMALL, buffer, metadata_of, patient},
};
use crate::{
    ledger::records,
    leftovers,
    pattern::{Pattern, mix},
    process::PATIENCE,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{Error, Reader, Writer, observe};

pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) script: Script,
    /// At which passage or place the victim ends; empty: at none.
    pub(crate) at: String,
    pub(crate) hasty: bool,
    pub(crate) frames: u64,
}

impl Scene {
    fn log(&self) -> PathBuf {
        self.folder.join("passages")
    }

    /// What the victim has passed: number and place. Its threads may go on for a moment after the
    /// one that ends it.
    pub(crate) fn passages(&self) -> Result<Vec<(u64, String)>> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let passage = |line: &str| {
            let (number, place) = line.split_once(' ').context("a damaged line in the log")?;
            Ok((number.parse()?, place.to_owned()))
        };
        text.lines().map(passage).collect()
    }

    /// Where the victim was ended; `None`: it has not come there.
    pub(crate) fn death(&self) -> Option<String> {
        let mut passages = self.passages().unwrap_or_default().into_iter();
        let (_, place) =
            passages.find(|(number, place)| number.to_string() == self.at || *place == self.at)?;
        Some(place)
    }

    pub(super) fn spawn(&self, script: &str, ledger: &str, at: &str, logged: bool) -> Result<Victim> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["victim", script, &self.name]).arg(self.folder.join(ledger));
        // What a victim says on its error output is its end's reason at most; its status tells.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if !at.is_empty() {
            command.env("ZEROBUFFER_CRASH_AT", at);
        }
        if logged {
            command.env("ZEROBUFFER_CRASH_LOG", self.log());
        }
        Ok(Victim(command.spawn().context("cannot start the victim")?))
    }

    pub(super) fn victim(&self) -> Result<Victim> {
        self.spawn(
            self.script.victim(),
            if self.script.victim().ends_with("writer") { "w-1" } else { "r-1" },
            &self.at,
            true,
        )
    }

    /// A writer or client that dies somewhere in its frames; in front of an attach elsewhere in
    /// every run.
    pub(super) fn predecessor(&self) -> Result<Victim> {
        let elsewhere = mix(self.at.len() as u64 + self.at.parse().unwrap_or(0));
        let (script, at) = match self.script {
            Script::NextClient => ("client", (20 + elsewhere % 200).to_string()),
            Script::Attach => ("writer", (40 + elsewhere % 200).to_string()),
            Script::LegacyAttach => ("legacy-writer", (40 + elsewhere % 200).to_string()),
            Script::Retract => ("writer", stores::jump()?),
            Script::LegacyRepair => ("legacy-writer", stores::charge()?),
            _ => ("writer", "130".to_owned()),
        };
        self.spawn(script, "w-0", &at, false)
    }

    fn is_legacy(&self) -> bool {
        matches!(
            self.script,
            Script::Legacy | Script::LegacyAttach | Script::LegacyReader | Script::LegacyRepair
        )
    }

    fn pattern(&self) -> Pattern {
        if self.is_legacy() { SMALL } else { PATTERN }
    }

    pub(crate) fn play(&mut self) -> Result<()> {
        match self.script {
            Script::Writer | Script::Attach | Script::Retract | Script::Legacy | Script::LegacyAttach => {
                self.writer_dies()
            }
            Script::Reader
            | Script::TakeOver
            | Script::Repair
            | Script::LegacyReader
            | Script::LegacyRepair => self.reader_dies(),
            Script::Clean => self.cleaner_dies(),
            Script::Client | Script::NextClient | Script::Entrant => self.client_dies(),
            Script::Server | Script::NextServer => self.server_dies(),
        }
    }

    fn writer_dies(&mut self) -> Result<()> {
        let mut reader = Reader::create(&self.name, buffer()).context("create")?;
        let mut intake = Intake::new(self.pattern());
        if self.is_legacy() {
            legacy::publish(&self.name, &SMALL.content(intake.expected))?;
            intake.read(&mut reader, PATIENCE)?;
            ensure!(intake.expected == 2, "the frame of another implementation does not come");
        }
        if matches!(self.script, Script::Attach | Script::Retract | Script::LegacyAttach) {
            let mut predecessor = self.predecessor()?;
            if self.is_legacy() {
                // While that frame is held no writer enters the native form.
                predecessor.hear();
            }
            while predecessor.end()?.is_none() {
                intake.read(&mut reader, Duration::from_millis(2))?;
            }
        }
        let mut victim = self.victim()?;
        if self.script == Script::Legacy {
            victim.hear();
        }
        while victim.end()?.is_none() {
            intake.read(&mut reader, Duration::from_millis(2))?;
        }
        if !self.hasty {
            // Noticed, drained and repaired before anybody comes.
            let started = Instant::now();
            let mut quiet = Instant::now();
            loop {
                let before = intake.expected;
                if intake.read(&mut reader, Duration::from_millis(20))? {
                    break;
                }
                if intake.expected != before || reader.is_writer_connected() {
                    quiet = Instant::now();
                }
                // Nobody had come yet.
                if quiet.elapsed() > Duration::from_millis(150) {
                    break;
                }
                ensure!(started.elapsed() < PATIENCE, "the dead writer is not noticed");
            }
        }
        self.stream_to_the_end(reader, intake)
    }

    /// A new writer, on a thread, that sends frames and closes; the reader gets all, and then the
    /// ring is as if fresh.
    fn stream_to_the_end(&mut self, mut reader: Reader, mut intake: Intake) -> Result<()> {
        let (name, pattern) = (self.name.clone(), self.pattern());
        let successor = thread::spawn(move || send(&name, pattern));
        // The successor gives up first.
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let over = successor.is_finished();
            let drained = intake.read(&mut reader, Duration::from_millis(20))?;
            // Late is also the end of one that could not attach: its error is the one to tell.
            let late = Instant::now() > deadline;
            if over && (drained || late) {
                break;
            }
            ensure!(!late, "the successor's frames do not come, {} were had", intake.expected - 1);
        }
        let last = successor
            .join()
            .map_err(|_| anyhow::anyhow!("the successor panicked"))?
            .context("the successor")?;
        intake.release()?;
        ensure!(
            intake.expected == last + 1,
            "{} frames were delivered, {last} published",
            intake.expected - 1
        );
        for record in records(&self.folder, "w-")? {
            ensure!(record.last <= last, "frame {} was committed, {last} delivered", record.last);
        }
        self.frames += intake.expected - 1;
        let info = observe::inspect(&self.name)?;
        let same = info.read_pos % PAYLOAD == info.write_pos % PAYLOAD;
        // A death between position and count leaves a count too small in legacy form.
        let counted = info.used == 0 && (self.is_legacy() || info.written_count == info.read_count);
        let counted = counted && info.frames_waiting == 0;
        let fresh = info.free == PAYLOAD && same && info.writer.is_none() && info.defects.is_empty();
        ensure!(
            fresh && counted && info.last_sequence == last,
            "the drained ring is not as it must be: {info:?}"
        );
        reader.metadata().context("metadata")?;
        reader.close().context("close")?;
        let left = leftovers::of(&self.name);
        ensure!(left.is_empty(), "left behind after the close: {left:?}");
        Ok(())
    }

    fn reader_dies(&mut self) -> Result<()> {
        let mut old_writer = None;
        if self.script == Script::TakeOver {
            let mut idle = self.spawn("idle", "unused", "", false)?;
            idle.hear();
            old_writer = Some(Writer::connect(&self.name).context("connect to the first reader")?);
            drop(idle);
        }
        let over = AtomicBool::new(false);
        let (name, over, pattern) = (&self.name.clone(), &over, self.pattern());
        thread::scope(|scope| {
            let writing = old_writer.map(|writer| scope.spawn(move || write_until_finish(writer, pattern)));
            let dying = matches!(self.script, Script::Repair | Script::LegacyRepair);
            let early = if self.script == Script::Repair { Some(self.predecessor()?) } else { None };
            let mut victim = self.victim()?;
            if self.is_legacy() {
                victim.hear();
                // There is no buffer if it has died in creating one.
                let _ = legacy::publish(name, &pattern.content(1));
            }
            let late = if self.script == Script::LegacyRepair { Some(self.predecessor()?) } else { None };
            let peer = early.or(late);
            let writer = (!dying).then(|| scope.spawn(move || feed(name, over, pattern)));
            let ended = victim.wait();
            over.store(true, Ordering::SeqCst);
            ended?;
            let join = |thread: Option<thread::ScopedJoinHandle<'_, Result<()>>>| match thread {
                Some(thread) => thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?,
                None => Ok(()),
            };
            if !self.hasty {
                join(writing).context("the first reader's writer")?;
                join(writer).context("the victim's writer")?;
                // It may still wait for a reader that never came to be.
                drop(peer);
                return Ok(());
            }
            let reader = Reader::create(&self.name, buffer()).context("the successor")?;
            join(writing).context("the first reader's writer")?;
            join(writer).context("the victim's writer")?;
            drop(peer);
            // What a peer that has come over to this reader has left is read first.
            self.forget_ledgers()?;
            self.stream_to_the_end(reader, Intake::new(self.pattern()))
        })?;
        if self.hasty {
            return Ok(());
        }
        self.forget_ledgers()?;
        let reader = Reader::create(&self.name, buffer()).context("the successor")?;
        self.stream_to_the_end(reader, Intake::new(self.pattern()))
    }

    /// What was sent to a dead reader is nobody's.
    fn forget_ledgers(&self) -> Result<()> {
        for file in ["w-0", "w-1"] {
            let path = self.folder.join(file);
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn cleaner_dies(&mut self) -> Result<()> {
        let mut idle = self.spawn("idle", "unused", "", false)?;
        idle.hear();
        drop(idle);
        self.victim()?.wait()?;
        if !self.hasty {
            for orphan in observe::orphans()?.iter().filter(|orphan| orphan.name == self.name) {
                observe::remove(orphan).context("the second clean-up")?;
            }
            let memory: Vec<PathBuf> =
                leftovers::of(&self.name).into_iter().filter(|path| path.starts_with("/dev/shm")).collect();
            ensure!(memory.is_empty(), "left behind after a second clean-up: {memory:?}");
        }
        let reader = Reader::create(&self.name, buffer()).context("the successor")?;
        self.stream_to_the_end(reader, Intake::new(self.pattern()))
    }
}

/// Attaches, also while a predecessor is still being judged dead, sends frames and closes. Returns
/// the last number.
fn send(name: &str, pattern: Pattern) -> Result<u64> {
    let mut writer = connect(name, &AtomicBool::new(false))?.context("no reader")?;
    let mut last = 0;
    let metadata = writer.set_metadata(&metadata_of(writer.next_sequence()));
    if pattern.max == PATTERN.max {
        metadata.context("metadata")?;
    }
    for _ in 0..FRAMES {
        let sequence = writer.next_sequence();
        last = writer.write(&pattern.content(sequence))?.sequence().unwrap_or(0);
    }
    writer.close()?;
    Ok(last)
}

/// `None`: `over` has been set.
fn connect(name: &str, over: &AtomicBool) -> Result<Option<Writer>> {
    let deadline = Instant::now() + PATIENCE;
    while !over.load(Ordering::SeqCst) {
        match Writer::connect_with(name, patient().connect_timeout(Duration::from_millis(5))) {
            Ok(writer) => return Ok(Some(writer)),
            Err(
                error @ (Error::NotFound { .. }
                | Error::NotReady { .. }
                | Error::WriterAlreadyConnected { .. }
                | Error::CrashNotNoticed { .. }),
            ) => {
                if Instant::now() > deadline {
                    return Err(error).context("connect");
                }
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("connect"),
        }
    }
    Ok(None)
}

/// Writes to the victim until it is gone. The reader before it may still be there at the first
/// attempt.
fn feed(name: &str, over: &AtomicBool, pattern: Pattern) -> Result<()> {
    while let Some(writer) = connect(name, over)? {
        // It may have come to the successor.
        if over.load(Ordering::SeqCst) {
            writer.close()?;
            break;
        }
        write_until_finish(writer, pattern)?;
    }
    Ok(())
}

fn write_until_finish(mut writer: Writer, pattern: Pattern) -> Result<()> {
    loop {
        let sequence = writer.next_sequence();
        match writer.write(&pattern.content(sequence)) {
            Ok(_) => {}
            Err(Error::ReaderGone { .. }) => return Ok(()),
            Err(error) => bail!("the reader's end is not noticed: {error}"),
        }
    }
}
