//! The tables, row by row, against the rule of liveness in PROTOCOL.md.

use super::{
    KnownBy::{self, Mark, Note, Nothing, Sight},
    Life::{self, Alive, Doubtful, Gone},
    Process::{self, Exists, Missing, Own},
    Reason::{BeingJudged, Closed, Closing, NoProcess, NotPresent, OwnNumber},
    *,
};

const PID: u64 = 4711;
const MOVES: Duration = Duration::ZERO;
const STILL: Duration = WAIT_SLICE;

type Row = (&'static str, (Process, KnownBy, Option<bool>, u8, Duration), Life);

fn facts(pid: u64, row: &Row) -> Facts {
    let (process, known, held, level, still_for) = row.1;
    Facts { pid, process, known, held, level, still_for }
}

fn check(rows: &[Row], judge: impl Fn(&Facts) -> Life) {
    for row in rows {
        assert_eq!(judge(&facts(PID, row)), row.2, "{}", row.0);
    }
}

const FREE: Option<bool> = Some(false);
const HELD: Option<bool> = Some(true);

#[test]
fn readers_by_rows() {
    check(
        &[
            // A held presence byte means alive, across users and pid namespaces.
            ("native", (Exists, Mark, HELD, 1, MOVES), Alive),
            ("native, of another pid namespace", (Missing, Mark, HELD, 2, STILL), Alive),
            ("native, its number is the judge's in this namespace", (Own, Mark, HELD, 1, STILL), Alive),
            ("native, whose mark a chmod took away", (Missing, Nothing, HELD, 1, STILL), Alive),
            ("native, in the judge's process", (Own, Mark, HELD, 3, MOVES), Alive),
            // Its level is announced as long as it lives.
            ("native, held by another judge", (Missing, Mark, HELD, 0, STILL), Doubtful(BeingJudged)),
            ("... and its number exists", (Exists, Mark, HELD, 0, STILL), Doubtful(BeingJudged)),
            ("legacy, held by a judge, dead", (Missing, Nothing, HELD, 0, STILL), Doubtful(BeingJudged)),
            ("legacy, held by a judge, alive", (Exists, Nothing, HELD, 0, STILL), Alive),
            // Marked and free: a dead reader, without any memory of it.
            ("native, dead", (Missing, Mark, FREE, 0, MOVES), Gone(NotPresent)),
            ("... for who has just come", (Exists, Mark, FREE, 0, NEVER_SEEN), Gone(NotPresent)),
            ("... its number has a new bearer", (Exists, Mark, FREE, 0, STILL), Gone(NotPresent)),
            ("... which its own judge has", (Own, Mark, FREE, 0, MOVES), Gone(NotPresent)),
            (
                "native, its descriptors closed, it moves",
                (Exists, Mark, FREE, 0, MOVES),
                Doubtful(NotPresent),
            ),
            ("native by its level, dead", (Missing, Sight, FREE, 0, MOVES), Gone(NotPresent)),
            ("native by its level, moves", (Exists, Sight, FREE, 0, MOVES), Doubtful(NotPresent)),
            // A legacy reader is dead only by its number.
            ("legacy, idle", (Exists, Nothing, FREE, 0, NEVER_SEEN), Alive),
            ("legacy, of another user", (Exists, Nothing, FREE, 0, STILL), Alive),
            ("legacy, ended or a zombie", (Missing, Nothing, FREE, 0, MOVES), Gone(NoProcess)),
            ("legacy, with the number of the judge", (Own, Nothing, FREE, 0, MOVES), Gone(OwnNumber)),
            // Where presence does not work, numbers decide.
            ("cannot be asked, exists", (Exists, Mark, None, 0, NEVER_SEEN), Alive),
            ("cannot be asked, own", (Own, Nothing, None, 0, NEVER_SEEN), Alive),
            ("cannot be asked, missing", (Missing, Nothing, None, 0, MOVES), Gone(NoProcess)),
        ],
        Facts::reader,
    );
}

#[test]
fn writers_by_rows() {
    check(
        &[
            ("native", (Exists, Note, HELD, 2, MOVES), Alive),
            ("native, of another pid namespace, idle", (Missing, Note, HELD, 2, STILL), Alive),
            ("native, unknown yet", (Missing, Nothing, HELD, 0, STILL), Alive),
            ("legacy, beside one that tries to attach", (Exists, Nothing, HELD, 2, STILL), Alive),
            ("native, dead", (Missing, Note, FREE, 0, MOVES), Gone(NotPresent)),
            ("native, seen before, dead", (Missing, Sight, FREE, 0, MOVES), Gone(NotPresent)),
            ("native, its number has a new bearer", (Exists, Note, FREE, 0, STILL), Gone(NotPresent)),
            ("... for who holds its byte", (Exists, Note, FREE, 0, NEVER_SEEN), Gone(NotPresent)),
            (
                "native, its descriptors closed, it writes",
                (Exists, Sight, FREE, 0, MOVES),
                Doubtful(NotPresent),
            ),
            ("native, with the number of the judge", (Own, Note, FREE, 0, MOVES), Gone(NotPresent)),
            ("legacy, idle", (Exists, Nothing, FREE, 0, NEVER_SEEN), Alive),
            ("legacy, ended or a zombie", (Missing, Nothing, FREE, 0, MOVES), Gone(NoProcess)),
            ("legacy, with the number of the judge", (Own, Nothing, FREE, 0, MOVES), Gone(OwnNumber)),
            ("cannot be asked, exists", (Exists, Note, None, 0, STILL), Alive),
            ("cannot be asked, own", (Own, Nothing, None, 0, STILL), Alive),
            ("cannot be asked, missing", (Missing, Note, None, 0, MOVES), Gone(NoProcess)),
        ],
        Facts::writer,
    );
}

/// On Windows presence is an event, without a level where a reader has no notes; on macOS it is the
/// lock file's.
#[test]
fn the_facts_of_the_other_systems() {
    check(
        &[
            ("Windows: notes and event", (Exists, Mark, HELD, 2, MOVES), Alive),
            (
                "Windows: notes, whose page a writer keeps",
                (Exists, Mark, FREE, 0, NEVER_SEEN),
                Gone(NotPresent),
            ),
            ("Windows: no notes, a number that was given away", (Exists, Nothing, FREE, 0, STILL), Alive),
            ("macOS: a lock file, held", (Missing, Mark, HELD, 1, MOVES), Alive),
            ("macOS: a lock file that had to be made", (Exists, Mark, None, 0, NEVER_SEEN), Alive),
            (
                "macOS: its lock file is gone, and its process",
                (Missing, Mark, None, 0, STILL),
                Gone(NoProcess),
            ),
        ],
        Facts::reader,
    );
}

/// Whatever else is known: an endpoint that is not registered is gone, and none is called alive
/// that is not.
#[test]
fn what_holds_for_every_combination() {
    let mut count = 0;
    for process in [Missing, Exists, Own] {
        for known in [Mark, Note, Sight, Nothing] {
            for held in [HELD, FREE, None] {
                for level in [0, 1] {
                    for still_for in [MOVES, STILL, NEVER_SEEN] {
                        let all = Facts { pid: PID, process, known, held, level, still_for };
                        let nobody = Facts { pid: 0, ..all };
                        assert_eq!(nobody.writer(), Gone(Closed));
                        let closing = if held == HELD { Doubtful(Closing) } else { Gone(Closed) };
                        assert_eq!(nobody.reader(), closing);
                        assert_eq!(Facts { pid: TOMBSTONE, ..all }.writer(), Gone(Reason::Tombstone));
                        for life in [all.reader(), all.writer()] {
                            // Held is never gone; free and missing is never alive.
                            assert!(held != HELD || !life.is_gone(), "{all:?}");
                            assert!(held == HELD || process != Missing || !life.is_alive(), "{all:?}");
                            assert_eq!(life.is_alive(), life.reason().is_none());
                        }
                        // More stillness never brings anybody back.
                        let stiller = Facts { still_for: NEVER_SEEN, ..all };
                        assert!(!all.reader().is_gone() || stiller.reader().is_gone(), "{all:?}");
                        assert!(!all.writer().is_gone() || stiller.writer().is_gone(), "{all:?}");
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(count, 3 * 4 * 3 * 2 * 3);
}
