//! Crash points: an endpoint's process is ended before and after every change that others see, one
//! run per point. The survivors must behave as if nothing had happened (W10). Needs a core built
//! with `--cfg crash_points`.

mod channel;
mod channel_victim;
mod child;
mod intake;
mod legacy;
mod scene;
mod script;
mod steady;
mod stores;
mod victim;

pub(crate) use channel_victim::{answered, connect_client, converse, server_config};
pub(crate) use steady::{conversation, ledger, stream_with_deaths};
pub(crate) use victim::run as victim;

use crate::{leftovers, open_to_all};
use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;
use scene::Scene;
use script::Script;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// What is killed, each with a script of its own.
const SCRIPTS: [Script; 16] = [
    Script::Writer,
    Script::Attach,
    Script::Retract,
    Script::Legacy,
    Script::LegacyAttach,
    Script::Reader,
    Script::TakeOver,
    Script::Repair,
    Script::LegacyReader,
    Script::LegacyRepair,
    Script::Clean,
    Script::Client,
    Script::NextClient,
    Script::Entrant,
    Script::Server,
    Script::NextServer,
];
/// Most of a run is waiting for a slice to pass.
const LANES: usize = 6;

/// One run: which script, at which passage or place, what comes after it.
struct Case {
    script: Script,
    at: String,
    /// The successor is there before the survivor has noticed the death.
    hasty: bool,
}

#[derive(Default)]
struct Figures {
    kills: u64,
    /// The process came to its end before that passage: it waited less often than in the recording.
    unreached: u64,
    frames: u64,
    places: BTreeSet<String>,
    violations: Vec<String>,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<bool> {
    let quick = arguments.contains("--quick");
    let only: Option<String> = arguments.opt_value_from_str("--case")?;
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!(
            "unknown {rest:?}; usage: zerobuffer-torture crashpoints [--quick] [--case SCRIPT:PASSAGE:hasty|calm]"
        );
    }
    let started = Instant::now();
    let base = std::env::temp_dir().join(format!("zerobuffer-crashpoints-{}", std::process::id()));
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    open_to_all(&base)?;
    let (mut cases, mut known) = (Vec::new(), BTreeSet::new());
    if let Some(only) = &only {
        cases.push(Case::parse(only)?);
    }
    for script in SCRIPTS.into_iter().filter(|_| only.is_none()) {
        let passages = record(script, &base)?;
        println!("{:<12}{} passages", script.name(), passages.len());
        for (at, place) in (1..).zip(&passages) {
            known.insert(place.clone());
            // Half of an entrant's way is a client's: the quick run has the places below for it.
            let is_spared = quick && script == Script::Entrant;
            let both = [false, true].into_iter().filter(|&hasty| !quick || hasty == (at % 2 == 0));
            let both = both.filter(|_| !is_spared);
            cases.extend(both.map(|hasty| Case { script, at: at.to_string(), hasty }));
        }
        // A passage may come sooner or later than it did in the recording; a place is where it is.
        for place in passages.iter().collect::<BTreeSet<_>>() {
            cases.push(Case { script, at: place.clone(), hasty: cases.len() % 2 == 0 });
        }
    }
    let figures = Mutex::new(Figures::default());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    play(case, &base, &figures);
                }
            });
        }
    });
    let Figures { kills, unreached, frames, places, violations } =
        figures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    // A place that only a lucky recording has passed is no violation, and is named.
    let missed: Vec<&String> = known.difference(&places).collect();
    let never = if only.is_none() { stores::missed(&places)? } else { Vec::new() };
    if only.is_none() && !missed.is_empty() {
        println!("recorded and not killed at in this run: {missed:?}");
    }
    for store in &never {
        println!("UNCOVERED {store}");
    }
    let _ = fs::remove_dir_all(&base);
    println!(
        "points={} kills={kills} unreached={unreached} frames={frames} uncovered={} violations={} seconds={:.1}",
        places.len(),
        if only.is_none() { missed.len() + never.len() } else { 0 },
        violations.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(violations.is_empty() && never.is_empty() && kills > 0)
}

impl Case {
    /// The inverse of its display; a place has colons of its own.
    fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(script, rest)| Some((script, rest.rsplit_once(':')?)));
        let (script, (at, mode)) =
            parts.with_context(|| format!("`{text}` is no SCRIPT:PASSAGE:hasty|calm"))?;
        let script = SCRIPTS.into_iter().find(|known| known.name() == script);
        let script = script.with_context(|| format!("no script is called as in `{text}`"))?;
        let hasty = match mode {
            "hasty" => true,
            "calm" => false,
            other => bail!("`{other}` is neither hasty nor calm"),
        };
        Ok(Self { script, at: at.to_owned(), hasty })
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.script.name(), self.at, if self.hasty { "hasty" } else { "calm" })
    }
}

/// The places that a whole, undisturbed run of a script passes, in order.
fn record(script: Script, base: &Path) -> Result<Vec<String>> {
    let name = crate::name_of(&format!("crash-{}-{}-record", std::process::id(), script.name()));
    let folder = base.join(&name);
    fs::create_dir_all(&folder)?;
    let mut scene = Scene {
        name: name.clone(),
        folder: folder.clone(),
        script,
        at: String::new(),
        hasty: false,
        frames: 0,
    };
    let result = scene.play();
    sweep(&name);
    result.with_context(|| format!("{}: undisturbed run", script.name()))?;
    let mut passages = scene.passages()?;
    // Threads may write their lines in another order than they were counted in.
    passages.sort_unstable();
    let places: Vec<String> = passages.into_iter().map(|(_, place)| place).collect();
    if places.is_empty() {
        bail!(
            "the core has no crash points: build it with RUSTFLAGS='--cfg crash_points' (cargo xtask crashpoints)"
        );
    }
    Ok(places)
}

/// What is left of a run's buffer or channel.
fn sweep(name: &str) -> Vec<PathBuf> {
    [leftovers::sweep(name), channel::sweep(name)].concat()
}

fn play(case: &Case, base: &Path, figures: &Mutex<Figures>) {
    let name = crate::name_of(&format!(
        "crash-{}-{}",
        std::process::id(),
        case.to_string().replace([':', '/', ' '], "-")
    ));
    let folder = base.join(&name);
    let mut scene = Scene {
        name: name.clone(),
        folder: folder.clone(),
        script: case.script,
        at: case.at.clone(),
        hasty: case.hasty,
        frames: 0,
    };
    let result = fs::create_dir_all(&folder).map_err(Into::into).and_then(|()| scene.play());
    let death = scene.death();
    let left = sweep(&name);
    let _ = fs::remove_dir_all(&folder);
    let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
    figures.frames += scene.frames;
    let place = death.as_deref().unwrap_or("no point");
    if let Err(error) = result {
        let what = format!("{case} at {place}: {error:#}");
        println!("violation: {what}");
        figures.violations.push(what);
    } else if !left.is_empty() {
        figures.violations.push(format!("{case} at {place}: left behind {left:?}"));
    }
    match death {
        Some(place) => {
            figures.kills += 1;
            figures.places.insert(place);
        }
        None => figures.unreached += 1,
    }
}
