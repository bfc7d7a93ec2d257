//! A round whose `/dev/shm` is a small tmpfs of its own, filled up. Creations fail with their error
//! and leave nothing. The open stream goes on, also with a writer that is killed and followed.

use super::{Role, Round, run_by};
use crate::{process::PATIENCE, tally::Tally};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Error, Reader};

const SHARED: &str = "/dev/shm";
/// What takes the room, beside the buffers.
const FILLER: &str = "/dev/shm/filler";
const PAGE: u64 = 4096;

/// Runs the round in a mount namespace of its own, in a process of its own.
pub(crate) fn run(name: &str, base: &Path, seed: u64) -> Tally {
    elsewhere(name, base, seed).unwrap_or_else(|error| Tally {
        rounds: 1,
        violations: vec![format!("{error:#}")],
        ..Tally::default()
    })
}

fn elsewhere(name: &str, base: &Path, seed: u64) -> Result<Tally> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--kill-child", "--fork"]).arg(program);
    command.args(["full", name]).arg(base).arg(seed.to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("unshare")?;
    let deadline = Instant::now() + 3 * PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            bail!("the round with a full /dev/shm does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut tally = Tally::default();
    let mut complete = false;
    for line in said.lines() {
        if let Some(violation) = line.strip_prefix("violation ") {
            tally.violations.push(violation.to_owned());
        } else if let Some(numbers) = line.strip_prefix("figures ") {
            let numbers: Vec<u64> = numbers.split(' ').filter_map(|word| word.parse().ok()).collect();
            let &[kills, faults, frames, bytes, lost, torn, leftovers, starved, refused] = numbers.as_slice()
            else {
                bail!("figures are missing: {line}");
            };
            tally =
                Tally { rounds: 1, kills, faults, frames, bytes, lost, torn, leftovers, starved, ..tally };
            tally.full_rounds = 1;
            tally.refused = refused;
            complete = true;
        }
    }
    ensure!(complete, "the process has ended ({}) without figures: {said}", output.status);
    Ok(tally)
}

/// The process in the namespace: mounts, plays, and says the figures.
pub(crate) fn inside(name: &str, base: &Path, seed: u64) -> Result<()> {
    mount("tmpfs", SHARED, "tmpfs", MountFlags::empty(), c"mode=1777,size=8m").context("a tmpfs")?;
    let tally = run_by(name, base, seed, false, Round::play_full);
    for violation in &tally.violations {
        println!("violation {violation}");
    }
    let Tally { kills, faults, frames, bytes, lost, torn, leftovers, starved, refused, .. } = tally;
    println!("figures {kills} {faults} {frames} {bytes} {lost} {torn} {leftovers} {starved} {refused}");
    Ok(())
}

impl Round {
    fn play_full(&mut self) -> Result<()> {
        self.spawn(Role::Reader)?;
        self.spawn(Role::Writer)?;
        self.settle()?;
        for _ in 0..self.rng.u32(3..7) {
            self.tally.faults += 1;
            self.fill()?;
            for _ in 0..self.rng.u32(2..8) {
                self.create_without_room()?;
            }
            self.linger();
            if self.rng.bool() {
                // The successor needs no room in /dev/shm.
                self.kill_now(Role::Writer)?;
                self.spawn(Role::Writer)?;
                self.settle()?;
            }
        }
        self.close(Role::Writer)?;
        self.drain()?;
        fs::remove_file(FILLER).context("the filler")?;
        ensure!(listing()?.is_empty(), "left in the private /dev/shm: {:?}", listing()?);
        Ok(())
    }

    /// Takes all room but some pages, from none to too few for most buffers.
    fn fill(&mut self) -> Result<()> {
        let mut file = File::options().append(true).create(true).open(FILLER).context("the filler")?;
        if let Err(error) = fill_up(&mut file) {
            ensure!(error.kind() == ErrorKind::StorageFull, "filling up: {error}");
        }
        let spare = PAGE * self.rng.u64(0..12);
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(spare)).context("make some room")?;
        Ok(())
    }

    /// One creation: there is room, or it says that there is none; either leaves what was there.
    fn create_without_room(&mut self) -> Result<()> {
        let before = listing()?;
        let payload = 64_u64 << self.rng.u32(0..16);
        let name = format!("{}-full", self.plan.name);
        match Reader::create(&name, BufferConfig::ring(payload).metadata(64)) {
            Ok(reader) => reader.close().context("close beside a full /dev/shm")?,
            Err(Error::NoSpace { .. }) => self.tally.refused += 1,
            Err(error) => bail!("a creation of {payload} bytes with a full /dev/shm says {error}"),
        }
        let after = listing()?;
        ensure!(before == after, "a creation without room has left {after:?}, before it {before:?}");
        let left = crate::leftovers::sweep(&name);
        ensure!(left.is_empty(), "a creation without room has left {left:?}");
        Ok(())
    }
}

fn fill_up(file: &mut File) -> std::io::Result<()> {
    loop {
        file.write_all(&[0; PAGE as usize])?;
    }
}

fn listing() -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(SHARED)?.map(|entry| Ok(entry?.file_name()));
    let names: Result<BTreeSet<OsString>> = entries.collect();
    Ok(names?.into_iter().filter(|name| name != "filler").collect())
}
