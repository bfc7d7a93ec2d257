//! Does a segment's reader live? (W8)

use crate::{
    error::{Error, Result},
    layout::ControlSnapshot,
    sys::{
        Role, Segment, Verdict,
        takeover::{self, Facts, YOUNG},
    },
};
use std::time::SystemTime;

/// What is known of a segment. `held`: whether somebody other than the judge holds the reader's
/// byte; `None` where the judge cannot ask.
pub(in crate::sys) fn facts(segment: &Segment, held: Option<bool>, companions: bool) -> Facts {
    Facts {
        control: segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes)),
        size: segment.size,
        marked: segment.is_marked(),
        held,
        young: SystemTime::now().duration_since(segment.changed).is_ok_and(|age| age < YOUNG),
        companions,
    }
}

/// Judges a segment by its reader, for observers.
pub(crate) fn assess(segment: &Segment) -> Verdict {
    takeover::decide(&facts(segment, segment.is_held(Role::Reader).ok(), segment.has_companions()))
}

/// Spares a reader that will be refused what its creation costs. Judged again under the locks; a
/// reader that is just closing has no pid any more, and is waited for there.
pub(in crate::sys) fn refuse_early(name: &str) -> Result<()> {
    match Segment::open_read_only(name).map(|segment| assess(&segment)) {
        Ok(Verdict::Alive { pid }) if pid != 0 => {
            Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid })
        }
        _ => Ok(()),
    }
}
