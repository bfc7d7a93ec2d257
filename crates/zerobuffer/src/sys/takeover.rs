//! Whether a reader may take a name over (W12): the rule, once for all systems.
//!
//! What has the name is *foreign* until it is proven to be a buffer. Only a proven buffer of a dead
//! reader is written to and removed. A system reports what it finds ([`Site`]) and removes what the
//! rule says.

use super::{Verdict, blocked::Blocked};
use crate::{
    error::{Error, Result},
    layout::ControlSnapshot,
    liveness::{self, KnownBy, Life, NEVER_SEEN, Process, Reason},
};
use std::time::Duration;

/// How long a half-made segment of another implementation is left alone.
pub(super) const YOUNG: Duration = Duration::from_secs(1);
/// How long another judge may hold the reader's role.
const JUDGING: Duration = Duration::from_millis(20);

/// What is known of an object under a buffer's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// A copy of its control block; `None` if it is too short to have one.
    pub(super) control: Option<ControlSnapshot>,
    /// Its bytes.
    pub(super) size: u64,
    /// It has the mark of a reader of this implementation.
    pub(super) marked: bool,
    /// Whether somebody other than the judge has the reader's role; `None` where that cannot be
    /// asked.
    pub(super) held: Option<bool>,
    /// It has changed so lately that another implementation may still be making it.
    pub(super) young: bool,
    /// A lock file or a semaphore of this name is there that the same user has made.
    pub(super) companions: bool,
}

/// What an object is by its contents.
enum Kind {
    /// Size word, version and sizes are those of a buffer.
    Buffer(ControlSnapshot),
    /// Its first word is 0, or it is empty: a buffer that is being made, or anything else.
    Blank,
    Other,
}

impl Facts {
    fn kind(&self) -> Kind {
        match self.control {
            None if self.size == 0 => Kind::Blank,
            Some(control) if control.oieb_size == 0 => Kind::Blank,
            Some(control) if control.geometry("", self.size).is_ok() => Kind::Buffer(control),
            _ => Kind::Other,
        }
    }

    /// Dead, if it is proven to be a buffer.
    fn dead(&self, pid: u64, reason: &'static str) -> Verdict {
        // The guard that `attacks/` takes out to show that its attack works.
        if self.companions || cfg!(unguarded = "s3") {
            Verdict::Dead { pid, reason }
        } else {
            Verdict::Foreign
        }
    }
}

/// Judges an object by its reader (W8): by presence where it has our mark, else by the pid.
pub(super) fn decide(facts: &Facts) -> Verdict {
    let control = match facts.kind() {
        Kind::Other => return Verdict::Foreign,
        Kind::Blank => {
            return match facts.held {
                Some(true) => Verdict::Alive { pid: 0 },
                Some(false) if facts.marked => facts.dead(0, "it was never initialised"),
                _ if facts.young => Verdict::Young,
                _ => facts.dead(0, "it was never initialised"),
            };
        }
        Kind::Buffer(control) => control,
    };
    let pid = control.reader_pid;
    let reader = liveness::Facts {
        pid,
        process: Process::of(pid),
        known: if facts.marked { KnownBy::Mark } else { KnownBy::Nothing },
        held: facts.held,
        // Nothing depends on it: whose role somebody else has is left alone.
        level: 0,
        still_for: NEVER_SEEN,
    };
    match reader.reader() {
        Life::Alive | Life::Doubtful(_) => Verdict::Alive { pid },
        // The pid is the last thing that another implementation writes, and the first that it takes
        // back.
        Life::Gone(Reason::Closed) if facts.young && !facts.marked => Verdict::Young,
        Life::Gone(reason) => facts.dead(pid, reason.of_reader()),
    }
}

/// The reader's role in what was found, as a judge tries to take it. It is held as long as this
/// lives.
pub(super) struct Hold<G> {
    /// `Some(false)`: somebody else has it. `None`: that cannot be asked.
    pub(super) taken: Option<bool>,
    #[allow(dead_code, reason = "it is what its drop does")]
    pub(super) guard: G,
}

/// What one system finds under a name, and does with it. All of it happens under the locks of
/// creation.
pub(super) trait Site {
    /// What is found.
    type Segment;
    /// What holds the reader's role until it is dropped.
    type Guard;

    fn name(&self) -> &str;

    /// What messages call it.
    fn object(&self) -> String;

    /// What has the name; `None` if nothing has.
    fn find(&self) -> Result<Option<Self::Segment>>;

    /// Death is judged while holding the reader's role.
    fn hold(&self, segment: &Self::Segment) -> Result<Hold<Self::Guard>>;

    /// The facts of what was found, `held` being what [`Self::hold`] has returned.
    fn facts(&self, segment: &Self::Segment, held: Option<bool>) -> Facts;

    /// A writer that is still attached to a dead reader's segment sees "no reader" at once.
    fn tell_writer(&self, segment: &Self::Segment, pid: u64);

    /// Gives the name free. `Ok(false)`: somebody else has.
    fn remove(&self, segment: Self::Segment) -> Result<bool, Blocked>;
}

/// Makes sure that nothing has the name, or says what has. `true`: a dead reader's buffer was
/// removed.
pub(super) fn take_over<S: Site>(site: &S) -> Result<bool, Blocked> {
    let name = site.name();
    let Some(segment) = site.find()? else { return Ok(false) };
    let hold = site.hold(&segment)?;
    let is_busy = hold.taken == Some(false);
    let connected = |pid| Error::ReaderAlreadyConnected { name: name.to_owned(), pid };
    match decide(&site.facts(&segment, hold.taken.map(|taken| !taken))) {
        // Perhaps only another judge has the role, which is a matter of an instant.
        Verdict::Alive { pid } if is_busy => Err(Blocked { error: connected(pid), patience: JUDGING }),
        Verdict::Alive { pid } => Err(connected(pid).into()),
        Verdict::Foreign => Err(Error::NotABuffer { name: name.to_owned(), object: site.object() }.into()),
        Verdict::Young => {
            let reason = "another process is creating it and does not finish";
            Err(Blocked { error: Error::NotReady { name: name.to_owned(), reason }, patience: 2 * YOUNG })
        }
        Verdict::Dead { pid, reason } => {
            log::info!(target: "zerobuffer::reader", "taking over buffer '{name}' of process {pid}: {reason}");
            site.tell_writer(&segment, pid);
            site.remove(segment)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Geometry;

    const SIZE: u64 = 128 + 64 + 1024;
    const DEAD: u64 = 0x7fff_ffff;

    fn buffer(reader_pid: u64) -> Facts {
        let control =
            ControlSnapshot::fresh(Geometry { metadata: 64, payload: 1024, native: false }, reader_pid);
        Facts {
            control: Some(control),
            size: SIZE,
            marked: false,
            held: Some(false),
            young: false,
            companions: true,
        }
    }

    fn blank() -> Facts {
        let mut facts = buffer(0);
        facts.control = facts.control.map(|control| ControlSnapshot { oieb_size: 0, ..control });
        facts
    }

    fn kind(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Alive { .. } => "alive",
            Verdict::Young => "young",
            Verdict::Foreign => "foreign",
            Verdict::Dead { .. } => "dead",
        }
    }

    /// Another process, which lives until its input ends.
    fn waiting_child() -> std::process::Child {
        let mut command = std::process::Command::new(if cfg!(windows) { "cmd" } else { "cat" });
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn the_rule_by_rows() {
        let own = super::super::process::own_pid();
        let mut child = waiting_child();
        let other = u64::from(child.id());
        let held = Some(true);
        for (row, facts, expected) in [
            ("a dead process's buffer", buffer(DEAD), "dead"),
            ("... that nothing proves", Facts { companions: false, ..buffer(DEAD) }, "foreign"),
            ("a live process's", buffer(other), "alive"),
            ("... without presence", Facts { held: None, ..buffer(other) }, "alive"),
            ("our own number, our byte free", buffer(own), "dead"),
            ("marked and held", Facts { marked: true, held, ..buffer(DEAD) }, "alive"),
            ("marked and free, the number exists", Facts { marked: true, ..buffer(other) }, "dead"),
            ("... unproven", Facts { marked: true, companions: false, ..buffer(other) }, "foreign"),
            ("marked, cannot be asked", Facts { marked: true, held: None, ..buffer(other) }, "alive"),
            ("closed and left", buffer(0), "dead"),
            ("no pid yet, young", Facts { young: true, ..buffer(0) }, "young"),
            ("no pid yet, young, unproven", Facts { young: true, companions: false, ..buffer(0) }, "young"),
            ("a dead process's, young", Facts { young: true, ..buffer(DEAD) }, "dead"),
            ("zeros, old", blank(), "dead"),
            ("zeros, old, unproven", Facts { companions: false, ..blank() }, "foreign"),
            ("zeros, young", Facts { young: true, companions: false, ..blank() }, "young"),
            ("zeros, marked, unproven", Facts { marked: true, companions: false, ..blank() }, "foreign"),
            ("zeros, held", Facts { held, ..blank() }, "alive"),
            ("empty, unproven", Facts { control: None, size: 0, companions: false, ..blank() }, "foreign"),
            ("too short", Facts { control: None, size: 64, ..blank() }, "foreign"),
            ("too short and held", Facts { control: None, size: 64, held, ..blank() }, "foreign"),
            ("shorter than it says", Facts { size: SIZE - 1, ..buffer(DEAD) }, "foreign"),
            ("... and marked", Facts { size: SIZE - 1, marked: true, ..buffer(DEAD) }, "foreign"),
        ] {
            assert_eq!(kind(&decide(&facts)), expected, "{row}: {facts:?}");
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
