//! The measurements: which kinds at which sizes for which systems.

use anyhow::{Result, bail};

use super::Options;
use crate::case::{Ends, Kind, SIZES, SYSTEMS, Size, System};

/// What is measured in turns: its figures are compared with each other.
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    pub(crate) systems: Vec<&'static System>,
}

pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
}

impl Plan {
    /// Everything that the options do not leave out.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut groups = Vec::new();
        for kind in Kind::ALL {
            for size in SIZES.into_iter().filter(|size| sizes(kind, options.quick).contains(&size.name)) {
                let wanted = |system: &System| {
                    let fits =
                        |pattern: &super::Pattern| pattern.matches(kind.name(), size.name, system.name);
                    can(kind, size, system)
                        && has_depth(system, size)
                        && (options.only.is_empty() || options.only.iter().any(fits))
                };
                let systems: Vec<_> = SYSTEMS.iter().filter(|system| wanted(system)).collect();
                if !systems.is_empty() {
                    groups.push(Group { kind, size, systems });
                }
            }
        }
        if groups.is_empty() {
            bail!(
                "--only leaves nothing to measure{}",
                if options.quick { " (--quick measures less)" } else { "" }
            );
        }
        Ok(Self { groups })
    }

    pub(crate) fn systems(&self) -> impl Iterator<Item = &'static System> {
        self.groups.iter().flat_map(|group| group.systems.iter().copied())
    }
}

fn sizes(kind: Kind, quick: bool) -> &'static [&'static str] {
    match (kind, quick) {
        (Kind::Stream, true) => &["64", "64k", "1080p"],
        (Kind::Loan | Kind::Trip | Kind::Paced, true) => &["64", "1080p"],
        (Kind::Fps, true) => &[],
        (Kind::Fps | Kind::Start, _) => &["1080p"],
        (Kind::Stream, false) => &["64", "4k", "64k", "1m", "1080p", "1080p-82"],
        (_, false) => &["64", "4k", "64k", "1m", "1080p"],
    }
}

const FORKED: [&str; 3] = ["py-pipe", "py-queue", "py-shm"];

/// The floor's ring is a power of two deep.
fn has_depth(system: &System, size: Size) -> bool {
    system.name != "floor" || size.depth.is_power_of_two()
}

/// What a system takes part in.
fn can(kind: Kind, size: Size, system: &System) -> bool {
    match kind {
        // What a binding costs shows at the smallest frames; at large ones it must copy no more.
        _ if matches!(system.ends, Ends::Program(_)) => {
            matches!(kind, Kind::Stream | Kind::Loan | Kind::Trip) && ["64", "1080p"].contains(&size.name)
        }
        _ if ["-duplex", "-call"].iter().any(|end| system.name.ends_with(end)) => kind.is_round_trip(),
        _ if system.name == "ours-whole" => kind == Kind::Stream,
        _ if system.name.ends_with("-tokio") => kind.is_round_trip() && size.name == "64",
        _ if ["-async", "-uvloop"].iter().any(|end| system.name.ends_with(end)) => kind == Kind::Stream,
        Kind::Loan => system.loans,
        // The other ways to write of a package that is here already make no difference to these.
        Kind::Trip | Kind::Paced => !system.name.ends_with("-buffer"),
        // Ends that a fork makes have no start of their own.
        Kind::Start => !system.name.ends_with("-buffer") && !FORKED.contains(&system.name),
        Kind::Stream | Kind::Fps => true,
    }
}
