//! A buffer's state in one word.
use serde::Serialize;

use super::End;

/// After how long without a frame a stream counts as idle, in seconds.
const IDLE: f64 = 2.0;
/// From which share on a ring counts as full.
const FULL: f64 = 0.9;

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Frames come.
    Live,
    /// Both ends are there, and no frame comes.
    Idle,
    /// No writer is there.
    Waiting,
    /// No frame comes, as the ring is full.
    Full,
    /// An end has died.
    Dead,
    /// The control block holds what cannot be.
    Damaged,
}

impl State {
    pub(crate) fn of(
        writer: Option<End>,
        reader: Option<End>,
        damaged: bool,
        age: Option<f64>,
        fill: f64,
    ) -> State {
        let is_dead = |end: Option<End>| end.is_some_and(|end| !end.alive);
        let moves = age.is_some_and(|age| age < IDLE);
        match (damaged, writer) {
            (true, _) => State::Damaged,
            // Without a reader nobody owns it.
            _ if reader.is_none() || is_dead(reader) || is_dead(writer) => State::Dead,
            (_, None) => State::Waiting,
            _ if moves => State::Live,
            _ if fill >= FULL => State::Full,
            _ => State::Idle,
        }
    }

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Idle => "idle",
            State::Waiting => "waiting",
            State::Full => "full",
            State::Dead => "dead",
            State::Damaged => "damaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state() {
        let end = |alive| Some(End { pid: 1, alive, level: 3 });
        for (writer, reader, damaged, age, fill, state) in [
            (end(true), end(true), false, Some(0.1), 1.0, State::Live),
            (end(true), end(true), false, Some(60.0), 0.0, State::Idle),
            (end(true), end(true), false, None, 0.0, State::Idle),
            (end(true), end(true), false, None, 0.95, State::Full),
            (None, end(true), false, Some(0.1), 0.5, State::Waiting),
            (end(false), end(true), false, Some(0.1), 0.5, State::Dead),
            (end(true), end(false), false, Some(0.1), 0.5, State::Dead),
            (None, None, false, None, 0.0, State::Dead),
            (end(true), end(true), true, Some(0.1), 0.0, State::Damaged),
        ] {
            assert_eq!(State::of(writer, reader, damaged, age, fill), state);
        }
    }
}
