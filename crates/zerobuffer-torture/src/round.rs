//! One round: a buffer, its processes, a random sequence of faults, and what must hold afterwards.

mod full;

pub(crate) use full::{inside as full_inside, run as run_full};

use crate::{
    ledger::{Record, records},
    leftovers,
    plan::Plan,
    process::{Endpoint, PATIENCE, Place, Role},
    tally::Tally,
};
use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use zerobuffer::observe;

/// Runs one round; what goes wrong becomes a violation.
pub(crate) fn run(name: &str, base: &Path, seed: u64, root: bool) -> Tally {
    run_by(name, base, seed, root, Round::play)
}

fn run_by(name: &str, base: &Path, seed: u64, root: bool, play: fn(&mut Round) -> Result<()>) -> Tally {
    let folder = base.join(name);
    let result = Round::start(name.to_owned(), &folder, seed, root).and_then(|mut round| {
        let result = play(&mut round);
        // Both ends are gone before anything is judged, also after a failure.
        (round.reader, round.writer) = (None, None);
        result.and_then(|()| round.judge()).map(|()| round.tally.clone()).or_else(|error| {
            round.tally.violations.push(format!("{error:#}"));
            Ok(round.tally.clone())
        })
    });
    let mut tally = result.unwrap_or_else(|error: anyhow::Error| Tally {
        violations: vec![format!("{error:#}")],
        ..Tally::default()
    });
    let left = leftovers::sweep(name);
    tally.leftovers += left.len() as u64;
    if !left.is_empty() {
        tally.violations.push(format!("left behind: {left:?}"));
    }
    if tally.violations.is_empty() {
        let _ = fs::remove_dir_all(&folder);
    }
    tally.rounds = 1;
    tally
}

struct Round {
    plan: Plan,
    rng: fastrand::Rng,
    reader_place: Place,
    writer_place: Place,
    reader: Option<Endpoint>,
    writer: Option<Endpoint>,
    /// Processes started so far.
    number: u64,
    tally: Tally,
    /// Readers that came to a clean end: segment and the numbers they have missed.
    drained: Vec<(u64, Vec<(u64, u64)>)>,
    /// The name was removed from outside.
    unlinked: bool,
}

impl Round {
    fn start(name: String, folder: &Path, seed: u64, root: bool) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        crate::open_to_all(folder)?;
        let mut plan = Plan::draw(name, folder, seed);
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5EED);
        let (mut reader_place, mut writer_place) = (Place::Here, Place::Here);
        match rng.u32(0..10) {
            0 => reader_place = Place::PidNamespace,
            1 => writer_place = Place::PidNamespace,
            2 => reader_place = Place::OtherUser,
            3 => writer_place = Place::OtherUser,
            _ => {}
        }
        if !root {
            (reader_place, writer_place) = (Place::Here, Place::Here);
        } else if writer_place == Place::OtherUser || reader_place == Place::OtherUser {
            plan.mode = 0o666;
        }
        Ok(Self {
            plan,
            rng,
            reader_place,
            writer_place,
            reader: None,
            writer: None,
            number: 0,
            tally: Tally::default(),
            drained: Vec::new(),
            unlinked: false,
        })
    }

    fn spawn(&mut self, role: Role) -> Result<()> {
        self.number += 1;
        let place = if role == Role::Reader { &self.reader_place } else { &self.writer_place };
        if *place != Place::Here {
            self.tally.faults += 1;
        }
        let endpoint = Endpoint::spawn(role, place, &self.plan, self.number)?;
        *self.slot(role) = Some(endpoint);
        Ok(())
    }

    fn slot(&mut self, role: Role) -> &mut Option<Endpoint> {
        if role == Role::Reader { &mut self.reader } else { &mut self.writer }
    }

    fn end(&mut self, role: Role) -> Result<&mut Endpoint> {
        self.slot(role).as_mut().context("no such process at this point of the round")
    }

    /// From 20 µs to 30 ms, each order of magnitude as likely as the other.
    fn linger(&mut self) {
        let exponent = self.rng.u32(0..11);
        let micros = (20_u64 << exponent) + self.rng.u64(0..=20 << exponent);
        thread::sleep(Duration::from_micros(micros.min(30_000)));
    }

    fn play(&mut self) -> Result<()> {
        self.spawn(Role::Reader)?;
        self.spawn(Role::Writer)?;
        if self.rng.u32(0..4) > 0 {
            self.end(Role::Writer)?.expect("attached")?;
        }
        for _ in 0..self.rng.u32(4..14) {
            self.linger();
            self.fault()?;
            if self.unlinked {
                break;
            }
            // Half of the faults hit a stream that runs, the others its beginnings.
            if self.rng.bool() {
                self.end(Role::Reader)?.catch_up();
                self.settle()?;
            }
        }
        self.finish()
    }

    /// Waits until both ends are on the same segment.
    fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reader = self.end(Role::Reader)?;
            reader.catch_up();
            let segment = reader.segment;
            let writer = self.end(Role::Writer)?;
            writer.catch_up();
            if segment.is_some() && segment == writer.segment {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (writer, segment) = (writer.segment, segment.unwrap_or(0));
                let writer_says = self.end(Role::Writer)?.complaints.join("; ");
                let reader_says = self.end(Role::Reader)?.complaints.join("; ");
                let state = observe::inspect(&self.plan.name);
                bail!(
                    "the ends do not meet: reader on {segment}, writer on {writer:?} ({reader_says}|{writer_says}), {state:?}"
                )
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn fault(&mut self) -> Result<()> {
        match self.rng.u32(0..100) {
            0..40 => self.kill(Role::Writer),
            40..62 => self.kill(Role::Reader),
            62..70 => {
                self.kill_now(Role::Writer)?;
                self.kill_now(Role::Reader)?;
                self.spawn(Role::Reader)?;
                self.spawn(Role::Writer)
            }
            70..84 => self.stop(),
            84..92 => {
                self.close(Role::Writer)?;
                self.spawn(Role::Writer)
            }
            92..98 => {
                self.close(Role::Reader)?;
                self.spawn(Role::Reader)
            }
            _ => {
                // Under foot: the ends keep the memory, nobody finds the name any more.
                self.settle()?;
                self.tally.faults += 1;
                // Once its writer has gone, the reader may say that none finds it any more.
                let reader = self.end(Role::Reader)?;
                reader.order("unnamed");
                reader.expect("unnamed")?;
                let _ = fs::remove_file(format!("/dev/shm/{}", self.plan.name));
                if self.rng.bool() {
                    let _ = fs::remove_file(format!("/dev/shm/sem.sem-w-{}", self.plan.name));
                }
                self.unlinked = true;
                self.linger();
                Ok(())
            }
        }
    }

    fn kill_now(&mut self, role: Role) -> Result<u64> {
        self.tally.kills += 1;
        self.tally.faults += 1;
        let Some(mut end) = self.slot(role).take() else { bail!("nobody to kill") };
        end.kill()?;
        let at = crate::child::now();
        self.take_complaints(&end);
        Ok(at)
    }

    /// Kills one end; its peer must notice, or a successor comes before it can.
    fn kill(&mut self, role: Role) -> Result<()> {
        match self.rng.u32(0..3) {
            0 => {
                self.settle()?;
                let at = self.kill_now(role)?;
                let observer = if role == Role::Reader { Role::Writer } else { Role::Reader };
                if observer == Role::Reader {
                    self.end(Role::Reader)?.order("watch");
                }
                let numbers =
                    self.end(observer)?.expect("gone").with_context(|| format!("{role:?} was killed"))?;
                let &[noticed, since] = numbers.as_slice() else { bail!("gone says {numbers:?}") };
                // From the moment on in which the peer had nothing else to do.
                let waited = Duration::from_nanos(noticed.saturating_sub(at.max(since)));
                let exists = [&self.reader_place, &self.writer_place].contains(&&Place::PidNamespace);
                let list =
                    if exists { &mut self.tally.detections_pid_exists } else { &mut self.tally.detections };
                list.push(waited.as_secs_f64() * 1000.0);
                self.spawn(role)
            }
            1 => {
                self.kill_now(role)?;
                if self.rng.bool() {
                    self.linger();
                }
                self.spawn(role)
            }
            _ => {
                // The successor is there before the end, refused so far.
                let Some(mut old) = self.slot(role).take() else { bail!("nobody to kill") };
                self.spawn(role)?;
                self.linger();
                self.tally.kills += 1;
                self.tally.faults += 1;
                old.kill()?;
                self.take_complaints(&old);
                Ok(())
            }
        }
    }

    fn stop(&mut self) -> Result<()> {
        let role = if self.rng.bool() { Role::Reader } else { Role::Writer };
        self.tally.faults += 1;
        self.end(role)?.signal(Signal::STOP);
        self.linger();
        if self.rng.bool() {
            thread::sleep(Duration::from_millis(self.rng.u64(0..120)));
        }
        if self.rng.u32(0..4) == 0 {
            self.kill_now(role)?;
            return self.spawn(role);
        }
        self.end(role)?.signal(Signal::CONT);
        Ok(())
    }

    fn close(&mut self, role: Role) -> Result<()> {
        self.tally.faults += 1;
        let mut end = self.slot(role).take().context("nobody to close")?;
        end.order(if role == Role::Reader { "close" } else { "finish" });
        end.expect("closed").context("a clean close")?;
        end.reap()?;
        self.take_complaints(&end);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        match if self.unlinked { 0 } else { self.rng.u32(0..10) } {
            0..6 => {
                if !self.unlinked {
                    self.settle()?;
                    self.linger();
                }
                self.close(Role::Writer)?;
                if self.unlinked && self.rng.u32(0..4) == 0 {
                    // The reader looks for its names once a second.
                    thread::sleep(Duration::from_millis(1200));
                }
                self.drain()
            }
            6..9 => {
                self.settle()?;
                self.linger();
                self.kill_now(Role::Writer)?;
                self.drain()
            }
            _ => {
                self.settle()?;
                self.kill_now(Role::Writer)?;
                self.kill_now(Role::Reader)?;
                // Half of the rounds run as another user.
                let orphans = observe::orphans_of(observe::Owner::Everybody)?;
                let Some(orphan) = orphans.iter().find(|orphan| orphan.name == self.plan.name) else {
                    bail!("the dead buffer is not found by observe::orphans");
                };
                observe::remove(orphan).context("observe::remove")?;
                Ok(())
            }
        }
    }

    /// The reader reads what is there, releases all, and then the ring must be as if fresh.
    fn drain(&mut self) -> Result<()> {
        self.end(Role::Reader)?.order("finish");
        self.end(Role::Reader)?.expect("drained")?;
        if !self.unlinked {
            let info = observe::inspect(&self.plan.name)?;
            let same = info.read_pos % info.payload_size == info.write_pos % info.payload_size;
            let empty = (info.free, info.used, info.frames_waiting) == (info.payload_size, 0, 0);
            if !empty || !same || info.writer.is_some() || !info.defects.is_empty() {
                bail!("the drained ring is not as it must be: {info:?}");
            }
        }
        let reader = self.end(Role::Reader)?;
        let drained = reader.segment.map(|segment| (segment, reader.gaps.clone()));
        self.drained.extend(drained);
        self.close(Role::Reader)
    }

    fn take_complaints(&mut self, end: &Endpoint) {
        self.tally.faults += end.starved;
        self.tally.starved += end.starved;
        for complaint in &end.complaints {
            if complaint.contains("torn ") {
                self.tally.torn += 1;
            }
            self.tally.violations.push(complaint.clone());
        }
    }

    /// After all processes have ended: was everything delivered that was published to a reader
    /// which came to its end?
    fn judge(&mut self) -> Result<()> {
        let writers = records(&self.plan.folder, "w-")?;
        let readers = records(&self.plan.folder, "r-")?;
        self.tally.frames += readers.iter().map(|reader| reader.frames).sum::<u64>();
        self.tally.bytes += readers.iter().map(|reader| reader.bytes).sum::<u64>();
        for (segment, gaps) in std::mem::take(&mut self.drained) {
            let Some(reader) = readers.iter().find(|reader| reader.segment == segment) else {
                bail!("no ledger of the reader of segment {segment}");
            };
            let writers: Vec<&Record> = writers.iter().filter(|writer| writer.segment == segment).collect();
            let lost = lost(&writers, reader, &gaps);
            if lost > 0 {
                self.tally.lost += lost;
                self.tally.violations.push(format!(
                    "{lost} frames lost: writers {writers:?}, reader {reader:?}, gaps {gaps:?}"
                ));
            } else if !gaps.is_empty() {
                self.tally
                    .violations
                    .push(format!("sequence numbers skipped: {gaps:?}, writers {writers:?}"));
            }
        }
        Ok(())
    }
}

/// How many committed numbers the reader has not had: those in its gaps, and those behind its last.
fn lost(writers: &[&Record], reader: &Record, gaps: &[(u64, u64)]) -> u64 {
    let overlap = |from: u64, to: u64| -> u64 {
        let part = |writer: &&Record| {
            let (first, last) = if writer.frames == 0 { (1, 0) } else { (writer.first, writer.last) };
            (last + 1).min(to).saturating_sub(first.max(from))
        };
        writers.iter().map(part).sum()
    };
    let between: u64 = gaps.iter().map(|&(from, to)| overlap(from, to)).sum();
    between + overlap(reader.last + 1, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_and_not_delivered_is_lost() {
        let writer = |first, last| Record { first, last, frames: last + 1 - first, ..Record::default() };
        let (a, b) = (writer(1, 10), writer(11, 20));
        let reader = |last| Record { first: 1, last, frames: 1, ..Record::default() };
        assert_eq!(lost(&[&a, &b], &reader(20), &[]), 0);
        assert_eq!(lost(&[&a, &b], &reader(21), &[]), 0, "published and not recorded when it was killed");
        assert_eq!(lost(&[&a, &b], &reader(17), &[]), 3);
        assert_eq!(lost(&[&a, &b], &reader(20), &[(9, 12)]), 3);
        assert_eq!(lost(&[&a, &writer(15, 20)], &reader(20), &[(11, 15)]), 0, "numbers that nobody used");
        let idle = Record { first: 21, ..Record::default() };
        assert_eq!(lost(&[&a, &b, &idle], &reader(20), &[]), 0);
    }
}
