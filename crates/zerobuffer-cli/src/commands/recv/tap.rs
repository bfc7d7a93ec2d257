//! `zerobuffer recv --tap`: the frames of a buffer that has another reader.
use std::time::{Duration, Instant};

use super::sink::Sink;
use super::{Args, LOOK, too_late};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::watched::{Seen, Watched};
use crate::{say, signals, time};

pub(super) fn receive(args: &Args, sink: &mut Sink<'_>) -> Result<(), Fail> {
    let name = &args.name;
    let mut watched = Watched::new(name);
    let mut bytes = Vec::new();
    let mut described = None;
    say::note(&format!("looking at '{name}', beside its reader"));
    let (mut start, mut timed) = (Instant::now(), false);
    while args.frames.is_none_or(|limit| sink.frames < limit) {
        let limit = if timed { args.timeout } else { args.wait };
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let seen = watched.look(args.latest, &mut bytes, left.map_or(LOOK, |left| left.min(LOOK)))?;
        match seen {
            Seen::Frame(frame) => {
                let between = frame.skipped.unwrap_or(0);
                let count = if args.latest { &mut sink.skipped } else { &mut sink.missed };
                *count = count.saturating_add(between);
                if let Some(tap) = watched.tap() {
                    // A writer that came at once behind the last one describes its frames anew.
                    let now = tap.metadata()?;
                    if described.replace(now.clone()).is_some_and(|before| before != now) {
                        sink.known = false;
                    }
                    sink.take(tap, &bytes)?;
                }
                (start, timed) = (Instant::now(), true);
            }
            Seen::Nothing { present } => {
                if present && !timed {
                    // From here on it is the writer that takes its time.
                    (start, timed) = (Instant::now(), true);
                } else if left.is_some_and(|left: Duration| left.is_zero()) {
                    if sink.writers > 0 && !timed {
                        break;
                    }
                    if watched.tap().is_none() {
                        return Err(absent(name, limit.unwrap_or_default()));
                    }
                    return Err(too_late(args, timed, &sink.done()));
                }
            }
            Seen::WriterGone => {
                if let Some(tap) = watched.tap() {
                    sink.begin(tap, None)?;
                }
                if !args.follow {
                    break;
                }
                say::note(&format!("the writer has left: {}", sink.done()));
                sink.known = false;
                (start, timed) = (Instant::now(), false);
            }
            Seen::Ended { why, closed } => {
                if !args.follow {
                    return if closed {
                        Ok(())
                    } else {
                        Err(Fail::new(Exit::PeerGone, why.to_string()).hint(sink.done()))
                    };
                }
                say::note(&format!("{why}; waiting for the next buffer of that name"));
                sink.known = false;
                (start, timed) = (Instant::now(), false);
            }
        }
        if signals::caught().is_some() {
            return Err(signals::interrupted(&sink.done()));
        }
    }
    Ok(())
}

fn absent(name: &str, waited: Duration) -> Fail {
    let waited = time::seconds(waited);
    Fail::new(
        Exit::Absent,
        format!(
            "buffer '{name}' did not come within {waited}: start its reader first, or wait longer with --wait SECONDS"
        ),
    )
}
