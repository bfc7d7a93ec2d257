//! The two ends of a measurement, in Rust: each system as a way to send and to receive, and what is
//! done with it.

mod drive;
mod duplex;
mod floor;
mod iceoryx2;
mod ours;
mod socket;
mod tokio;
mod transport;

use anyhow::{Result, bail};
use pico_args::Arguments;

use crate::case::{Kind, Touch};
use transport::Transport;

/// The orders to both ends of a measurement.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) kind: Kind,
    /// A name that nobody else uses.
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
    /// Seconds that are measured, after a tenth of it to warm up.
    pub(crate) seconds: f64,
    pub(crate) touch: Touch,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Receives; on round trips it answers. Started first.
    Server,
    /// Sends; on round trips it measures.
    Client,
}

/// `end SYSTEM ROLE KIND NAME BYTES DEPTH SECONDS TOUCH`, the same for the Python ends.
pub(crate) fn run(mut arguments: Arguments) -> Result<()> {
    let mut word = || arguments.free_from_str::<String>();
    let system = word()?;
    let role = match word()?.as_str() {
        "server" => Role::Server,
        "client" => Role::Client,
        other => bail!("no role `{other}`"),
    };
    let task = Task {
        kind: Kind::parse(&word()?)?,
        name: word()?,
        bytes: word()?.parse()?,
        depth: word()?.parse()?,
        seconds: word()?.parse()?,
        touch: Touch::parse(&word()?)?,
    };
    match system.as_str() {
        "ours" => go::<ours::Adaptive>(role, &task),
        "ours-block" => go::<ours::Block>(role, &task),
        "ours-spin" => go::<ours::Spin>(role, &task),
        "ours-whole" => go::<ours::Whole>(role, &task),
        "ours-tokio" => go::<tokio::Ours>(role, &task),
        "ours-call" if role == Role::Server => drive::serve(&task),
        "ours-call" => drive::call(&task),
        "iceoryx2" => go::<iceoryx2::Polled>(role, &task),
        "iceoryx2-event" => go::<iceoryx2::Event>(role, &task),
        "iceoryx2-tokio" => go::<tokio::Iceoryx2>(role, &task),
        "socket" => go::<socket::Socket>(role, &task),
        "floor" => go::<floor::Floor>(role, &task),
        other => bail!("no Rust end of `{other}`"),
    }
}

fn go<T: Transport>(role: Role, task: &Task) -> Result<()> {
    match (role, task.kind.is_round_trip()) {
        (Role::Server, false) => drive::receive::<T>(task),
        (Role::Client, false) => drive::send::<T>(task),
        (Role::Server, true) => drive::answer::<T>(task),
        (Role::Client, true) => drive::ask::<T>(task),
    }
}
