//! Recording beside a reader, through a tap.
use std::sync::atomic::Ordering;

use super::file::Taken;
use super::{Args, LOOK, Shared};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::say;
use crate::watched::{Seen, Watched};

/// Records one buffer up to its end.
pub(super) fn take(args: &Args, name: &str, shared: &Shared) -> Result<(), Fail> {
    let mut watched = Watched::new(name);
    let mut bytes = Vec::new();
    while !shared.is_over() {
        match watched.look(false, &mut bytes, LOOK)? {
            Seen::Frame(frame) => {
                let arrived = super::now();
                shared.missed.fetch_add(frame.skipped.unwrap_or(0), Ordering::SeqCst);
                let Some(tap) = watched.tap() else { continue };
                // A writer may have gone, and another one come, between two frames.
                let metadata = tap.metadata()?.unwrap_or_default();
                let taken = Taken {
                    topic: name,
                    metadata: &metadata,
                    ring_bytes: tap.capacity(),
                    sequence: frame.sequence,
                    arrived,
                    data: &bytes,
                };
                shared.record(&taken)?;
            }
            Seen::WriterGone | Seen::Ended { closed: true, .. } if !args.follow => break,
            Seen::Nothing { .. } | Seen::WriterGone => {}
            Seen::Ended { why, .. } if args.follow => say::note(&why.to_string()),
            Seen::Ended { why, .. } => {
                let fail = Fail::new(Exit::PeerGone, why.to_string());
                return Err(fail.hint("what was seen is recorded"));
            }
        }
    }
    Ok(())
}
