//! What the rule of taking over asks of a file.

use crate::{
    error::{Error, Result},
    layout::{CONTROL_SIZE, ControlSnapshot},
    sys::{
        Verdict,
        takeover::{Facts, YOUNG},
    },
};
use std::time::SystemTime;

/// What a segment is by itself: nobody was asked whether the role is held, nor for companions.
pub(in crate::sys) fn facts(
    control: Option<[u8; CONTROL_SIZE as usize]>,
    size: u64,
    marked: bool,
    changed: SystemTime,
) -> Facts {
    let young = SystemTime::now().duration_since(changed).is_ok_and(|age| age < YOUNG);
    let control = control.map(|bytes| ControlSnapshot::from_bytes(&bytes));
    Facts { control, size, marked, held: None, young, companions: false }
}

/// Spares a reader that will be refused what its creation costs. Judged again under the locks; a
/// reader that is just closing has no pid any more, and is waited for there.
pub(in crate::sys) fn refuse_early(name: &str, seen: &Result<Verdict>) -> Result<()> {
    match seen {
        Ok(Verdict::Alive { pid }) if *pid != 0 => {
            Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid: *pid })
        }
        _ => Ok(()),
    }
}
