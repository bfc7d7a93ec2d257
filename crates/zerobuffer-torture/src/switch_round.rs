//! A round in which the published package 1.3.0 and native ends take turns at one name. Writers
//! come before, behind and in the place of each other, readers after each other. Rings go from one
//! form to the other all the time. Unlike in [`old_round`](crate::old_round) all is promised: each
//! frame that was committed is delivered once, whole and in order.

use crate::{
    ledger::{Record, numbered},
    leftovers,
    plan::Plan,
    process::{Endpoint, Place, Role},
    tally::{Old, Tally},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use zerobuffer::observe;

pub(crate) fn run(name: &str, base: &Path, seed: u64, python: &Path, root: bool) -> Tally {
    let folder = base.join(name);
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x5EED);
    let foreign = root && rng.u32(0..3) > 0;
    let mut round = Round {
        plan: plan(name, &folder, seed, foreign),
        python: python.to_owned(),
        rng,
        foreign,
        number: 0,
        killed: BTreeSet::new(),
        leaves: false,
        old: Old { rounds: 1, ..Old::default() },
        complaints: Vec::new(),
    };
    let result = fs::create_dir_all(&folder)
        .map_err(Into::into)
        .and_then(|()| crate::open_to_all(&folder))
        .and_then(|()| round.play());
    let mut violations = round.complaints;
    violations.extend(result.err().map(|error| format!("{error:#}")));
    let left = leftovers::sweep(name);
    if !left.is_empty() && !round.leaves && violations.is_empty() {
        violations.push(format!("left behind: {left:?}"));
    }
    if violations.is_empty() {
        let _ = fs::remove_dir_all(&folder);
    }
    Tally { old: round.old, violations, ..Tally::default() }
}

/// A quarter of the ring at most: what always finds a place in legacy form.
fn plan(name: &str, folder: &Path, seed: u64, foreign: bool) -> Plan {
    let mut plan = Plan::draw(name.to_owned(), folder, seed);
    plan.payload = plan.payload.max(4096);
    // 1.3.0 refuses a buffer without room for metadata.
    plan.metadata = plan.metadata.max(64);
    plan.pattern.max = plan.pattern.max.clamp(1, plan.payload / 4 - 16);
    if foreign {
        plan.mode = 0o666;
    }
    plan
}

struct Round {
    plan: Plan,
    python: PathBuf,
    rng: fastrand::Rng,
    /// Native writers are another user's. 1.3.0 without the right to signal them takes their
    /// places.
    foreign: bool,
    /// Processes started so far.
    number: u64,
    /// Writers that were killed, by number.
    killed: BTreeSet<u64>,
    /// A reader was killed at last, or one of 1.3.0 has closed: some of its files stay.
    leaves: bool,
    old: Old,
    complaints: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Native,
    Old,
}

/// A running writer.
struct Sender {
    end: Endpoint,
    kind: Kind,
    number: u64,
}

impl Round {
    fn spawn(&mut self, role: Role, place: &Place) -> Result<Endpoint> {
        self.number += 1;
        Endpoint::spawn(role, place, &self.plan, self.number)
    }

    fn sender(&mut self, kind: Kind) -> Result<Sender> {
        let place = match kind {
            Kind::Native if self.foreign => Place::OtherUser,
            Kind::Native => Place::Here,
            Kind::Old => Place::Old(self.python.clone()),
        };
        let end = self.spawn(Role::Writer, &place)?;
        Ok(Sender { end, kind, number: self.number })
    }

    fn kind(&mut self) -> Kind {
        if self.rng.bool() { Kind::Native } else { Kind::Old }
    }

    /// Each order of magnitude as likely as the other: most writers come and go within one slice of
    /// a reader's wait, and some stay.
    fn linger(&mut self) {
        let micros = (20_u64 << self.rng.u32(0..13)) + self.rng.u64(0..2000);
        thread::sleep(Duration::from_micros(micros));
    }

    fn play(&mut self) -> Result<()> {
        let mut survivor = None;
        for _ in 0..self.rng.u32(1..4) {
            // One of 1.3.0 makes buffers that are its own user's alone.
            let legacy = !self.foreign && self.rng.u32(0..3) == 0;
            survivor =
                if legacy && survivor.is_none() { self.legacy_life()? } else { self.native_life(survivor)? };
        }
        match survivor {
            Some(mut survivor) => {
                survivor.end.order("finish");
                self.part(&mut survivor.end)
            }
            None => Ok(()),
        }
    }

    /// A native reader from its creation to its end. `survivor`: a native writer whose reader was
    /// killed; so is the one that is returned.
    fn native_life(&mut self, survivor: Option<Sender>) -> Result<Option<Sender>> {
        let mut reader = self.spawn(Role::Reader, &Place::Here)?;
        reader.expect("created").context("a native reader")?;
        self.leaves = false;
        let mut writer = if let Some(writer) = survivor {
            writer
        } else {
            let kind = self.kind();
            self.sender(kind)?
        };
        writer.end.expect("attached").context("the first writer")?;
        for _ in 0..self.rng.u32(1..6) {
            self.linger();
            let next = self.kind();
            writer = self.follow(&mut reader, writer, next)?;
        }
        if writer.kind == Kind::Old {
            // One that has come and gone without a frame may not have been seen.
            writer = self.follow(&mut reader, writer, Kind::Native)?;
        }
        self.linger();
        if self.rng.u32(0..4) == 0 {
            self.kill(&mut reader)?;
            self.forget_ledgers()?;
            writer.end.expect("gone").context("the reader was killed")?;
            self.leaves = true;
            return Ok(Some(writer));
        }
        self.finish(&mut writer)?;
        reader.order("finish");
        reader.expect("drained")?;
        self.check_drained()?;
        reader.order("close");
        self.part(&mut reader)?;
        self.account(&reader)?;
        Ok(None)
    }

    /// Another writer takes the place of this one, which ends in one way or the other.
    fn follow(&mut self, reader: &mut Endpoint, mut writer: Sender, next: Kind) -> Result<Sender> {
        let natively = writer.kind == Kind::Native && self.form()? % 2 == 1;
        if self.foreign && natively && next == Kind::Old && self.rng.u32(0..3) > 0 {
            return self.intrude(writer);
        }
        let kills = self.rng.bool();
        // The hazard that stays with them: neither of two legacy writers asks the reader.
        let apart = kills && (writer.kind, next) == (Kind::Old, Kind::Old);
        let early = if !apart && self.rng.bool() {
            let early = self.sender(next)?;
            self.linger();
            Some(early)
        } else {
            None
        };
        if kills {
            self.killed.insert(writer.number);
            self.kill(&mut writer.end)?;
        } else {
            self.finish(&mut writer)?;
        }
        if apart {
            reader.order("watch");
            reader.expect("gone").context("the old writer was killed")?;
        }
        let mut writer = match early {
            Some(early) => early,
            None => self.sender(next)?,
        };
        let what = writer.kind;
        writer.end.expect("attached").with_context(|| format!("the next writer, {what:?}"))?;
        Ok(writer)
    }

    /// 1.3.0 takes the place of a native writer that lives, while the ring is in native form.
    fn intrude(&mut self, mut writer: Sender) -> Result<Sender> {
        writer.end.order("yield");
        let mut end = self.spawn(Role::Writer, &Place::OldIntruder(self.python.clone()))?;
        let intruder = self.number;
        end.expect("attached").context("the intruder")?;
        self.old.intrusions += 1;
        if self.rng.bool() {
            writer.end.expect("replaced")?;
            self.part(&mut writer.end)?;
        } else {
            self.linger();
            self.killed.insert(writer.number);
            self.kill(&mut writer.end)?;
        }
        Ok(Sender { end, kind: Kind::Old, number: intruder })
    }

    /// A reader of 1.3.0, with one native writer, since a second one's number is an error to it.
    fn legacy_life(&mut self) -> Result<Option<Sender>> {
        let mut reader = self.spawn(Role::Reader, &Place::Old(self.python.clone()))?;
        reader.expect("created").context("a reader of 1.3.0")?;
        self.leaves = true;
        let mut writer = self.sender(Kind::Native)?;
        writer.end.expect("attached").context("a native writer beside 1.3.0")?;
        self.linger();
        if self.rng.bool() {
            self.kill(&mut reader)?;
            self.forget_ledgers()?;
            writer.end.expect("gone").context("the reader of 1.3.0 was killed")?;
            return Ok(Some(writer));
        }
        self.finish(&mut writer)?;
        // A writer that has closed is no error to it, so it does not say when it has had all.
        let segment = reader.segment;
        self.catch_up(&mut reader, segment)?;
        reader.order("close");
        self.part(&mut reader)?;
        Ok(None)
    }

    /// Waits until the reader has had what was written, and no more.
    fn catch_up(&mut self, reader: &mut Endpoint, segment: Option<u64>) -> Result<()> {
        let sum = |plan: &Plan, prefix: &str| -> Result<u64> {
            let all = numbered(&plan.folder, prefix)?;
            Ok(all.iter().filter(|(_, of)| Some(of.segment) == segment).map(|(_, of)| of.frames).sum())
        };
        for _ in 0..2000 {
            reader.catch_up();
            let (written, read) = (sum(&self.plan, "w-")?, sum(&self.plan, "r-")?);
            ensure!(read <= written, "1.3.0 has read {read} frames of {written}");
            if read == written {
                self.old.frames += read;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("1.3.0 does not get all frames: {:?}", numbered(&self.plan.folder, "")?)
    }

    fn kill(&mut self, end: &mut Endpoint) -> Result<()> {
        self.old.kills += 1;
        end.kill()?;
        self.listen(end);
        Ok(())
    }

    fn finish(&mut self, writer: &mut Sender) -> Result<()> {
        writer.end.order("finish");
        self.part(&mut writer.end)
    }

    fn part(&mut self, end: &mut Endpoint) -> Result<()> {
        end.expect("closed")?;
        end.reap()?;
        self.listen(end);
        Ok(())
    }

    fn listen(&mut self, end: &Endpoint) {
        self.old.torn += end.complaints.iter().filter(|text| text.contains("torn ")).count() as u64;
        self.complaints.extend(end.complaints.iter().cloned());
    }

    /// What was sent to a killed reader is nobody's.
    fn forget_ledgers(&mut self) -> Result<()> {
        for entry in fs::read_dir(&self.plan.folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// How often the ring went from one form to the other; odd: it is in native form.
    fn form(&self) -> Result<u64> {
        let file = File::open(format!("/dev/shm/{}", self.plan.name)).context("the segment")?;
        let word = |at| -> Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at)?;
            Ok(u64::from_le_bytes(bytes))
        };
        // The control block, the metadata block, the ring; then the word of the native block.
        word(128 + word(8)? + word(32)? + 128)
    }

    fn check_drained(&mut self) -> Result<()> {
        self.old.switches += self.form()?;
        let info = observe::inspect(&self.plan.name)?;
        let same = info.read_pos % info.payload_size == info.write_pos % info.payload_size;
        let empty = (info.free, info.used, info.frames_waiting) == (info.payload_size, 0, 0);
        let fresh = empty && same && info.writer.is_none() && info.defects.is_empty();
        ensure!(fresh, "the drained ring is not as it must be: {info:?}");
        Ok(())
    }

    /// The reader has had each writer's frames, one writer after the other.
    fn account(&mut self, reader: &Endpoint) -> Result<()> {
        let segment = reader.segment.context("a reader without a segment")?;
        let of_segment = |(_, record): &(u64, Record)| record.segment == segment;
        let readers = numbered(&self.plan.folder, "r-")?;
        let had = readers.into_iter().find(of_segment).context("no ledger of the reader")?.1;
        let parts: Vec<Part> = numbered(&self.plan.folder, "w-")?
            .into_iter()
            .filter(of_segment)
            .map(|(number, record)| Part::of(&record, self.killed.contains(&number)))
            .collect();
        let runs = runs(&reader.gaps, &had);
        self.old.frames += had.frames;
        let delivered: u64 = runs.iter().map(|run| run.count).sum();
        ensure!(delivered == had.frames, "{delivered} frames by number, {} by count", had.frames);
        if let Err(at) = explain(&runs, &parts) {
            self.old.lost += 1;
            bail!("the frames had are not those sent, from writer {at} on: had {runs:?}, sent {parts:?}");
        }
        Ok(())
    }
}

/// Numbers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    count: u64,
}

/// What one writer has committed.
#[derive(Clone, Copy, Debug)]
struct Part {
    sent: Run,
    /// One frame more may have been published, whose commit has not returned.
    killed: bool,
}

impl Part {
    fn of(record: &Record, killed: bool) -> Self {
        let count = if record.frames == 0 { 0 } else { record.last + 1 - record.first };
        Self { sent: Run { first: record.first, count }, killed }
    }
}

/// The numbers that a reader has had. It says where they do not follow each other.
fn runs(gaps: &[(u64, u64)], had: &Record) -> Vec<Run> {
    let (mut runs, mut first) = (Vec::new(), 1);
    for &(expected, found) in gaps {
        runs.push(Run { first, count: expected - first });
        first = found;
    }
    if had.frames > 0 {
        runs.push(Run { first, count: (had.last + 1).saturating_sub(first) });
    }
    runs.retain(|run| run.count > 0);
    runs
}

/// Whether those are the frames of these writers, one writer after the other. Else the writer whose
/// frames do not fit.
fn explain(runs: &[Run], parts: &[Part]) -> Result<(), usize> {
    // The run that follows after so many frames, less what of it lies before.
    let behind = |mut frames: u64| -> Option<Run> {
        for run in runs {
            if frames < run.count {
                return Some(Run { first: run.first + frames, count: run.count - frames });
            }
            frames -= run.count;
        }
        None
    };
    let starts = |at: u64, with: Run| {
        with.count == 0 || behind(at).is_some_and(|run| run.first == with.first && run.count >= with.count)
    };
    // After how many frames the next writer's may begin.
    let mut ends = BTreeSet::from([0]);
    for (number, part) in parts.iter().enumerate() {
        let sent = part.sent;
        let mut next = BTreeSet::new();
        for at in ends.into_iter().filter(|&at| starts(at, sent)).map(|at| at + sent.count) {
            next.insert(at);
            let one = Run { first: sent.first + sent.count, count: 1 };
            if part.killed && starts(at, one) {
                next.insert(at + 1);
            }
        }
        if next.is_empty() {
            return Err(number);
        }
        ends = next;
    }
    let all: u64 = runs.iter().map(|run| run.count).sum();
    if ends.contains(&all) { Ok(()) } else { Err(parts.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn had(gaps: &[(u64, u64)], last: u64) -> Vec<Run> {
        runs(gaps, &Record { last, frames: 1, ..Record::default() })
    }

    fn sent(first: u64, last: u64, killed: bool) -> Part {
        Part { sent: Run { first, count: last + 1 - first }, killed }
    }

    #[test]
    fn frames_are_explained_by_their_writers_alone() {
        // 1 to 9, 1 to 4, 5 to 20: a native writer, one of 1.3.0, a native one.
        let frames = had(&[(10, 1)], 20);
        let [a, b] = [sent(1, 9, false), sent(1, 4, false)];
        assert_eq!(explain(&frames, &[a, b, sent(5, 20, false)]), Ok(()));
        assert_eq!(explain(&frames, &[a, b, sent(5, 19, true)]), Ok(()), "published, and not recorded");
        assert_eq!(explain(&frames, &[a, sent(1, 3, true), sent(5, 20, false)]), Ok(()));
        assert_eq!(explain(&frames, &[a, b, sent(5, 19, false)]), Err(3), "one that nobody sent");
        assert_eq!(explain(&frames, &[a, b, sent(5, 21, false)]), Err(2), "the last is lost");
        assert_eq!(explain(&frames, &[a, sent(1, 5, false), sent(6, 20, false)]), Ok(()));
        assert_eq!(explain(&frames, &[a, sent(1, 3, false), sent(5, 20, false)]), Err(2));
        assert_eq!(explain(&frames, &[b, a, sent(5, 20, false)]), Err(1), "in another order");
        let nothing = sent(10, 9, true);
        assert_eq!(explain(&frames, &[a, nothing, b, sent(5, 20, false)]), Ok(()));
        assert_eq!(explain(&[], &[]), Ok(()));
        assert_eq!(explain(&[], &[a]), Err(0));
    }

    #[test]
    fn a_frame_twice_is_found() {
        let frames = had(&[(6, 5)], 9);
        assert_eq!(explain(&frames, &[sent(1, 9, false)]), Err(0));
        assert_eq!(explain(&frames, &[sent(1, 4, true), sent(5, 9, false)]), Ok(()), "another's first");
    }
}
