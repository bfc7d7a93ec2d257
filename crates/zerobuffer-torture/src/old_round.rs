//! A round with the published package 1.3.0 at one end: what it loses by its own ways is counted,
//! not promised.

use crate::{
    ledger::records,
    leftovers,
    plan::Plan,
    process::{Endpoint, Place, Role},
    tally::{Old, Tally},
};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub(crate) fn run(name: &str, base: &Path, seed: u64, python: &Path) -> Tally {
    let folder = base.join(name);
    let mut round = Round {
        plan: plan(name, &folder, seed),
        python: python.to_owned(),
        rng: fastrand::Rng::with_seed(seed),
        number: 0,
        old: Old { rounds: 1, ..Old::default() },
        complaints: Vec::new(),
    };
    let result = fs::create_dir_all(&folder).map_err(Into::into).and_then(|()| round.play());
    let mut violations = round.complaints;
    violations.extend(result.err().map(|error| format!("{error:#}")));
    // 1.3.0 leaves semaphores behind; those of native ends are counted in the other rounds.
    leftovers::sweep(name);
    if violations.is_empty() {
        let _ = fs::remove_dir_all(&folder);
    }
    Tally { old: round.old, violations, ..Tally::default() }
}

/// A quarter of the ring at most: what always finds a place with a legacy reader.
fn plan(name: &str, folder: &Path, seed: u64) -> Plan {
    let mut plan = Plan::draw(name.to_owned(), folder, seed);
    plan.payload = plan.payload.max(4096);
    // 1.3.0 refuses a buffer without room for metadata.
    plan.metadata = plan.metadata.max(64);
    plan.pattern.max = plan.pattern.max.clamp(1, plan.payload / 4 - 16);
    plan
}

struct Round {
    plan: Plan,
    python: PathBuf,
    rng: fastrand::Rng,
    number: u64,
    old: Old,
    complaints: Vec<String>,
}

impl Round {
    fn spawn(&mut self, role: Role, old: bool) -> Result<Endpoint> {
        self.number += 1;
        let place = if old { Place::Old(self.python.clone()) } else { Place::Here };
        Endpoint::spawn(role, &place, &self.plan, self.number)
    }

    fn linger(&mut self) {
        thread::sleep(Duration::from_micros(self.rng.u64(20..200_000)));
    }

    fn play(&mut self) -> Result<()> {
        let old_writer = self.rng.bool();
        let mut reader = self.spawn(Role::Reader, !old_writer)?;
        reader.expect("created")?;
        let kills = self.rng.u32(1..4);
        for _ in 0..kills {
            let mut writer = self.spawn(Role::Writer, old_writer)?;
            writer.expect("attached")?;
            self.linger();
            self.kill(&mut writer)?;
            if old_writer {
                // One legacy writer after another without a pause is the hazard that stays with
                // them.
                reader.order("watch");
                reader.expect("gone").context("the old writer was killed")?;
            }
        }
        let mut writer = self.spawn(Role::Writer, old_writer)?;
        writer.expect("attached")?;
        self.linger();
        if self.rng.bool() {
            self.kill(&mut reader)?;
            // Until its successor has taken the name over, the count of what it had read is
            // nobody's.
            self.forget_ledgers()?;
            writer.expect("gone").context("the reader was killed")?;
            if old_writer {
                writer.order("finish");
                return self.part(&mut writer);
            }
            reader = self.spawn(Role::Reader, false)?;
            reader.expect("created")?;
            writer.expect("attached")?;
            self.linger();
        }
        writer.order("finish");
        self.part(&mut writer)?;
        reader.order("finish");
        reader.expect("drained")?;
        reader.order("close");
        self.part(&mut reader)?;
        self.count()
    }

    fn kill(&mut self, end: &mut Endpoint) -> Result<()> {
        self.old.kills += 1;
        end.kill()?;
        self.listen(end);
        Ok(())
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

    fn forget_ledgers(&mut self) -> Result<()> {
        let delivered: u64 = records(&self.plan.folder, "r-")?.iter().map(|reader| reader.frames).sum();
        self.old.frames += delivered;
        for entry in fs::read_dir(&self.plan.folder)? {
            // The writer that lives goes on in a new one after its next attach.
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// By number of frames: legacy writers begin again at 1.
    fn count(&mut self) -> Result<()> {
        let sum = |prefix| -> Result<u64> {
            Ok(records(&self.plan.folder, prefix)?.iter().map(|record| record.frames).sum())
        };
        let (published, delivered) = (sum("w-")?, sum("r-")?);
        self.old.frames += delivered;
        self.old.lost += published.saturating_sub(delivered);
        Ok(())
    }
}
