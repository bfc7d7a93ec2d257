//! A writer's attach in native form (N5): enters it from a drained ring, or takes over what a
//! predecessor left.

use super::{
    runs::{Gap, Jump, Runs},
    writing::{Writing, claim},
};
use crate::{
    layout::{ENTRIES, NativeWord, Word},
    memory::Region,
    ring::Fault,
    sync::{End, Ordering, order},
};

/// More than a counter ever says, and the first number that would be that of a failure.
const MOST: u64 = 1 << 62;

/// A writer in native form.
#[derive(Debug)]
pub(in crate::ring) struct Entered {
    pub(in crate::ring) writing: Writing,
    /// Where the next frame goes.
    pub(in crate::ring) at: u64,
    /// The ring was in legacy form until now.
    pub(in crate::ring) was_legacy: bool,
    /// The number that a predecessor in native form has left; 0: none has.
    pub(in crate::ring) next: u64,
}

/// The form that the ring is in.
pub(in crate::ring) fn form(region: &Region) -> u64 {
    // Edge E9, acquire end of the leaving. Adding 0 reads the newest value.
    region.native_add(NativeWord::FORM, 0, order(End::E9Enter, Ordering::SeqCst))
}

/// The writer is registered and holds its presence byte. It has found the ring in `form`, which
/// nobody else changes. `None`: frames of legacy form are unread or held, so this writer keeps to
/// that form.
pub(in crate::ring) fn enter(
    region: &Region,
    form: u64,
    number: u64,
    own_pid: u64,
    whole_ring: bool,
) -> Result<Option<Entered>, Fault> {
    let next = region.native_load(NativeWord::NEXT, Ordering::Acquire);
    let was_legacy = form.is_multiple_of(2);
    let account = Account::read(region)?;
    if was_legacy && !begin(region, form, number.max(next), own_pid, &account)? {
        return Ok(None);
    }
    if account.retracted {
        region.native_store(NativeWord::JUMPS, account.runs.last(), Ordering::Release);
    }
    let newest = account.runs.jump(account.runs.last());
    let at = newest.to + (account.published - newest.at);
    let writing = Writing {
        published: account.published,
        start: account.published,
        credited: account.credited,
        frames: region.native_load(NativeWord::FRAMES, Ordering::Relaxed),
        claims: region.native_load(NativeWord::CLAIMS, Ordering::Relaxed),
        runs: account.runs,
        whole_ring,
    };
    Ok(Some(Entered { writing, at, was_legacy, next }))
}

/// From legacy form into the native one. `false`: not now.
fn begin(region: &Region, form: u64, number: u64, own_pid: u64, account: &Account) -> Result<bool, Fault> {
    let capacity = region.capacity();
    let position = |word| region.load(word, Ordering::Acquire) % capacity;
    if position(Word::WritePos) != position(Word::ReadPos) {
        return Ok(false);
    }
    if account.credited != account.published {
        let expected = format!("{} (published)", account.published);
        return Err(Fault::field("credited", account.credited, expected));
    }
    // A ring without room looks full: the reader knows by this that nothing fills it.
    let count = region.load(Word::WrittenCount, Ordering::SeqCst);
    region.native_store(NativeWord::ENTERING_AT, count, Ordering::SeqCst);
    let tell = |form| region.native_store(NativeWord::ENTERING, form, Ordering::SeqCst);
    tell(form + 1);
    // From here on a writer of another implementation, however it gets in, finds no room.
    if !region.exchange(Word::PayloadFree, capacity, 0) {
        tell(0);
        return Ok(false);
    }
    // One that got in beside this writer may have looked at `free` before that, and charges its
    // frame in a moment (model `form-no-look-back`).
    if region.load(Word::WriterPid, Ordering::SeqCst) != own_pid {
        region.add(Word::PayloadFree, capacity);
        tell(0);
        return Ok(false);
    }
    if account.published > 0 {
        // In legacy form nobody has claimed anything: a tap must not take what lies there for
        // frames of the last time.
        let number = region.native_load(NativeWord::CLAIMS, Ordering::Relaxed).wrapping_add(1);
        claim(region, number, account.published, Gap { start: 0, end: capacity });
    }
    // If this writer dies before its first frame, its successor finds the number nowhere else.
    Writing::leave(region, number);
    // Edge E9, release end: the reader looks at the native words from now on.
    region.native_add(NativeWord::FORM, 1, order(End::E9Entered, Ordering::SeqCst));
    Ok(true)
}

/// What the native block says, checked.
struct Account {
    published: u64,
    credited: u64,
    runs: Runs,
    /// The newest jump is of a frame that was not published.
    retracted: bool,
}

impl Account {
    fn read(region: &Region) -> Result<Self, Fault> {
        // Edge E1: a predecessor's publication; E2: what the reader has given back.
        let published = region.native_add(NativeWord::PUBLISHED, 0, Ordering::SeqCst);
        let newest = region.native_add(NativeWord::JUMPS, 0, Ordering::SeqCst);
        let credited = region.native_load(NativeWord::CREDITED, order(End::E2Acquire, Ordering::SeqCst));
        let capacity = region.capacity();
        if published.wrapping_sub(credited) > capacity {
            let expected = format!("{credited} to {}", credited.saturating_add(capacity));
            return Err(Fault::field("published", published, expected));
        }
        // Neither comes there in the life of a buffer.
        let next = region.native_load(NativeWord::NEXT, Ordering::Acquire);
        for (field, value) in [("published", published), ("jumps", newest), ("next", next)] {
            if value >= MOST {
                return Err(Fault::field(field, value, format!("less than {MOST}")));
            }
        }
        let entry = |number| {
            let [at, to] = NativeWord::jump(number).map(|word| region.native_load(word, Ordering::Acquire));
            Jump { at, to }
        };
        let retracted = newest > 0 && entry(newest).at == published;
        let last = if retracted { newest - 1 } else { newest };
        let (mut runs, mut end, mut first) = (Runs::new(last, last), published, None);
        for number in (last.saturating_sub(ENTRIES - 1)..=last).rev() {
            let jump = entry(number);
            if jump.at > end {
                return Err(Fault::field("jump at", jump.at, format!("at most {end}")));
            }
            if jump.to.checked_add(end - jump.at).is_none_or(|end| end > capacity) {
                return Err(Fault::field("jump to", jump.to, format!("a run inside of {capacity} bytes")));
            }
            runs.set(number, jump);
            if jump.at <= credited {
                first = Some(number);
                break;
            }
            end = jump.at;
        }
        let Some(first) = first else {
            return Err(Fault::field("jumps", newest, "a table that reaches back to what is credited"));
        };
        let runs = runs.from(first);
        let (taken, count) = runs.taken(credited, published);
        let mut before = Gap::default();
        for &run in taken.iter().take(count) {
            if run.start < before.end || run.end > capacity {
                let expected = format!("a run behind {} and inside of {capacity} bytes", before.end);
                return Err(Fault::field("jump to", run.start, expected));
            }
            before = run;
        }
        Ok(Self { published, credited, runs, retracted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::heap;

    #[test]
    fn native_form_is_not_entered_beside_another_writer() {
        let region = &heap::region(0, 128);
        let state = || {
            let form = region.native_load(NativeWord::FORM, Ordering::Relaxed);
            let entering = region.native_load(NativeWord::ENTERING, Ordering::Relaxed);
            (region.load(Word::PayloadFree, Ordering::Relaxed), form, entering)
        };
        region.store(Word::WriterPid, 8, Ordering::Relaxed);
        assert!(enter(region, 0, 5, 7, false).unwrap().is_none());
        assert_eq!(state(), (128, 0, 0), "nothing has changed");
        assert!(enter(region, 0, 5, 8, false).unwrap().is_some());
        assert_eq!(state(), (0, 1, 1));
        // It dies before its first frame.
        assert_eq!(enter(region, 1, 1, 9, false).unwrap().unwrap().next, 5);
    }
}
