//! What is looked at on every system: leftovers, and a buffer made for a trial.

use zerobuffer::observe::{self, Orphan, Owner};
use zerobuffer::{BufferConfig, Error, Reader, Writer};

use super::finding::Finding;
use crate::size;

const LEFTOVERS: &str = "leftovers";
const TRIAL: &str = "trial";
/// The ring of the trial: enough for a frame, too little to be missed.
const RING: u64 = 64 << 10;

pub(super) fn leftovers() -> Finding {
    match observe::orphans() {
        Ok(orphans) if orphans.is_empty() => {
            Finding::ok(LEFTOVERS, "dead processes of this user have left nothing behind")
        }
        Ok(orphans) => {
            let found = format!("dead processes of this user have left {}", summary(&orphans));
            Finding::warning(LEFTOVERS, found)
                .remedy("zerobuffer clean shows them, zerobuffer clean --yes removes them")
        }
        Err(error) => Finding::warning(LEFTOVERS, format!("they cannot be looked for: {error}")),
    }
}

/// What other users have left, which takes room from everybody.
pub(super) fn leftovers_of_others() -> Option<Finding> {
    let mut orphans = observe::orphans_of(Owner::Everybody).ok()?;
    let own = observe::orphans().ok()?;
    orphans.retain(|orphan| own.iter().all(|other| other.name != orphan.name));
    if orphans.is_empty() {
        return None;
    }
    let found = format!("dead processes of other users have left {}", summary(&orphans));
    Some(Finding::note(LEFTOVERS, found).remedy("as root: zerobuffer clean --all-users --yes"))
}

fn summary(orphans: &[Orphan]) -> String {
    let bytes = orphans.iter().fold(0_u64, |sum, orphan| sum.saturating_add(orphan.bytes));
    let names: Vec<&str> = orphans.iter().take(3).map(|orphan| orphan.name.as_str()).collect();
    let more = orphans.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}: {}{more}", size::human(bytes), names.join(", "))
}

/// Makes a small buffer, sends a frame through it, and removes it.
pub(super) fn trial() -> Finding {
    match one_frame(&format!("zerobuffer-doctor-{}", std::process::id())) {
        Ok(()) => Finding::ok(TRIAL, "a buffer was made, and a frame went through it"),
        Err(error) => Finding::problem(TRIAL, format!("no buffer works here: {error}"))
            .remedy("what the problems above say; if there is none, this message"),
    }
}

fn one_frame(name: &str) -> Result<(), Error> {
    const BYTES: &[u8] = b"a frame of the doctor";
    let mut reader = Reader::create(name, BufferConfig::ring(RING))?;
    let mut writer = Writer::connect(name)?;
    writer.write(BYTES)?;
    let frame = reader.read()?;
    if frame.data() != BYTES {
        let details = std::io::Error::other("the frame arrived with other bytes");
        return Err(Error::Os { operation: "read", object: name.to_owned(), source: details });
    }
    drop(frame);
    writer.close()?;
    reader.close()
}
