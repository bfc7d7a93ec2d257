//! The table of attacks, and how one is run.

use crate::{folders, foreign, others, readers, squatter, stage};
use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// One attack.
pub(crate) struct Attack {
    /// The row of the list of faults that it exploits.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether its guard is in this build.
    guarded: bool,
    /// What root does again and again, until the time is up or the attack has succeeded.
    pub(crate) victim: fn(&Target) -> Result<()>,
    /// What the other user does meanwhile, for ever.
    pub(crate) attacker: fn(seed: u64) -> Result<()>,
    /// What is prepared by root before.
    pub(crate) prepare: fn() -> Result<()>,
    /// What the attack has reached; `None`: nothing.
    pub(crate) harm: fn() -> Option<String>,
}

/// What the victim works on.
pub(crate) struct Target {
    pub(crate) until: Instant,
    pub(crate) harm: fn() -> Option<String>,
}

impl Target {
    /// Whether the victim goes on.
    pub(crate) fn is_open(&self) -> bool {
        Instant::now() < self.until && (self.harm)().is_none()
    }
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "s1",
        what: "exchange the new folder of lock files for a link: its mode is set on root's folder",
        guarded: !cfg!(unguarded = "s1"),
        victim: folders::create,
        attacker: folders::exchange,
        prepare: folders::prepare,
        harm: folders::mode_was_changed,
    },
    Attack {
        name: "s2",
        what: "the same: a file in a closed folder of root's is locked and removed as a lock file",
        guarded: !cfg!(unguarded = "s1"),
        victim: folders::create,
        attacker: folders::exchange,
        prepare: folders::prepare,
        harm: folders::file_was_removed,
    },
    Attack {
        name: "s3",
        what: "plant semaphores and lock files beside another program's memory: root removes that memory",
        guarded: !cfg!(unguarded = "s3"),
        victim: foreign::create_and_clean,
        attacker: foreign::plant,
        prepare: foreign::prepare,
        harm: foreign::memory_was_touched,
    },
    Attack {
        name: "s4",
        what: "make a buffer whose reader root cannot see: root's clean removes it",
        guarded: !cfg!(unguarded = "s4"),
        victim: others::clean,
        attacker: others::make,
        prepare: others::prepare,
        harm: others::buffer_was_removed,
    },
    Attack {
        name: "s5",
        what: "take the name first: root's writer sends its frames to somebody else's reader",
        guarded: !cfg!(unguarded = "s5"),
        victim: squatter::write,
        attacker: squatter::read,
        prepare: squatter::prepare,
        harm: squatter::frame_was_read,
    },
    Attack {
        name: "s6",
        what: "put read locks on the presence bytes of a buffer that may only be read: root's writer is refused",
        guarded: !cfg!(unguarded = "s6"),
        victim: readers::connect,
        attacker: readers::lock,
        prepare: readers::prepare,
        harm: readers::writer_was_refused,
    },
];

/// What an attack came to.
enum Ended {
    Held,
    Succeeded(Duration, String),
}

pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode> {
    if let Some(name) = arguments.opt_value_from_str::<_, String>("--attacker")? {
        return (find(&name)?.attacker)(arguments.value_from_str("--seed")?).map(|()| ExitCode::SUCCESS);
    }
    let seconds: u64 = arguments.opt_value_from_str("--seconds")?.unwrap_or(8);
    let trials: u32 = arguments.opt_value_from_str("--trials")?.unwrap_or(1);
    let seed: u64 = arguments.opt_value_from_str("--seed")?.unwrap_or(1);
    let only_unguarded = arguments.contains("--unguarded");
    let is_inside = arguments.contains("--inside");
    let names: Vec<String> =
        arguments.finish().into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(reason) = stage::missing() {
        println!("attacks: skipped: {reason}");
        return Ok(ExitCode::SUCCESS);
    }
    if !is_inside {
        return stage::enter();
    }
    let mut wrong = 0;
    let chosen = ATTACKS.iter().filter(|attack| names.is_empty() || names.contains(&attack.name));
    for attack in chosen.filter(|attack| !(only_unguarded && attack.guarded)) {
        let mut times = Vec::new();
        let mut harm = String::new();
        for trial in 0..trials {
            match one(attack, Duration::from_secs(seconds), seed + u64::from(trial))? {
                Ended::Held => {}
                Ended::Succeeded(time, what) => {
                    times.push(time);
                    harm = what;
                }
            }
        }
        let slowest = times.iter().max().copied().unwrap_or_default();
        let as_it_should = if attack.guarded { times.is_empty() } else { times.len() == trials as usize };
        wrong += u32::from(!as_it_should);
        println!(
            "{} {}: {} of {trials} succeeded, seeds from {seed}{}, guard {}: {}",
            if as_it_should { "ok   " } else { "WRONG" },
            attack.name,
            times.len(),
            if times.is_empty() { String::new() } else { format!(" (slowest after {slowest:.1?}: {harm})") },
            if attack.guarded { "in" } else { "taken out" },
            attack.what
        );
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(name: &str) -> Result<&'static Attack> {
    ATTACKS.iter().find(|attack| attack.name == name).with_context(|| format!("no attack {name}"))
}

/// One trial on a fresh stage.
fn one(attack: &Attack, bound: Duration, seed: u64) -> Result<Ended> {
    stage::clear()?;
    (attack.prepare)()?;
    let mut attacker = stage::start_attacker(attack.name, seed)?;
    let started = Instant::now();
    let target = Target { until: started + bound, harm: attack.harm };
    let victim = (attack.victim)(&target);
    let harm = (attack.harm)();
    if let Some(status) = attacker.try_wait()? {
        bail!("{}: the attacker ended by itself: {status}", attack.name);
    }
    attacker.kill()?;
    attacker.wait()?;
    victim.with_context(|| format!("the victim of {}", attack.name))?;
    Ok(harm.map_or(Ended::Held, |what| Ended::Succeeded(started.elapsed(), what)))
}
