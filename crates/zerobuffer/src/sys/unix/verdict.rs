//! Does a segment's reader live? (W8)

use crate::{
    error::{Error, Result},
    layout::ControlSnapshot,
    sys::{Role, Segment, Verdict, lives_by_pid},
};
use std::time::{Duration, SystemTime};

/// How long a half-made segment of another implementation is left alone.
pub(in crate::sys) const YOUNG: Duration = Duration::from_secs(1);

/// Judges a segment by its reader (W8): by the presence lock where the segment is marked, else by the pid.
pub(crate) fn judge(segment: &Segment) -> Verdict {
    judge_given(segment, segment.is_held(Role::Reader).ok())
}

/// Spares a reader that will be refused what its creation costs. Judged again under the locks; a reader that is just
/// closing has no pid any more, and is waited for there.
pub(in crate::sys) fn refuse_early(name: &str) -> Result<()> {
    match Segment::open_read_only(name).map(|segment| judge(&segment)) {
        Ok(Verdict::Alive { pid }) if pid != 0 => {
            Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid })
        }
        _ => Ok(()),
    }
}

/// `held`: whether somebody other than the judge holds the reader's byte; `None` where the judge cannot ask.
pub(in crate::sys) fn judge_given(segment: &Segment, held: Option<bool>) -> Verdict {
    let young = SystemTime::now().duration_since(segment.changed).is_ok_and(|age| age < YOUNG);
    let control = segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes));
    let pid = control.map_or(0, |c| c.reader_pid);
    if held == Some(true) {
        return Verdict::Alive { pid };
    }
    if held.is_some() && segment.is_marked() {
        return Verdict::Dead { pid, reason: "its reader died (no presence lock)" };
    }
    match control {
        None if segment.size > 0 => Verdict::Foreign,
        None => {
            if young {
                Verdict::Young
            } else {
                Verdict::Dead { pid, reason: "it was never initialised" }
            }
        }
        Some(control) => match control.oieb_size {
            0 if young => Verdict::Young,
            0 => Verdict::Dead { pid, reason: "it was never initialised" },
            128 if lives_by_pid(pid, held) => Verdict::Alive { pid },
            // Somebody else's file may begin with that number.
            128 if control.geometry("", segment.size).is_err() => Verdict::Foreign,
            128 if pid == 0 => Verdict::Dead { pid, reason: "its reader closed and left it" },
            128 => Verdict::Dead { pid, reason: "its reader died (no such process)" },
            _ => Verdict::Foreign,
        },
    }
}
