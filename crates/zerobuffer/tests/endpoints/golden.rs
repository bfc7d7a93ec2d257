//! The exact bytes of a segment after each step of a fixed script, as written down in
//! `tests/golden`.
//!
//! `ZEROBUFFER_TEST_BLESS=1` writes the files anew; a difference is a change of the wire format.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::common::segment::{READ_POS, READER_PID, WRITER_PID};
use crate::common::{Name, Peer, Segment};

/// Control block, metadata block, ring; a native reader makes the native block behind them.
const LEN: usize = 128 + 64 + 256;
const NATIVE: usize = 1024;

/// One snapshot: file name, what it shows, what the ends (`r`eader, `w`riter) did since the one
/// before.
type Step = (&'static str, &'static str, &'static [(char, &'static str)]);

const SCRIPT: &[Step] = &[
    ("1-fresh", "A fresh segment: metadata block of 64 bytes, ring of 256.", &[]),
    (
        "2-metadata",
        "A writer has attached and written 15 bytes of metadata: length prefix at 128, content at 136.",
        &[('w', "connect"), ('w', "set-meta 9 15")],
    ),
    (
        "3-frames",
        "Frames 1 (1 byte), 2 (20 bytes) and 3 (47 bytes); 1 was read and released, 2 is held, 3 is unread.",
        &[
            ('w', "write 1 1 write"),
            ('w', "write 2 20 buffer"),
            ('w', "write 3 47 write"),
            ('r', "read 1000 1"),
            ('r', "hold 1000 2"),
        ],
    ),
    (
        "4-wrap",
        "All of that read; frame 4 (64 bytes) read; frame 5 (100 bytes) did not fit into the last 60 bytes: a marker\n# (size 0, sequence 0) at ring position 196, the frame at 0, still unread.",
        &[
            ('r', "release 0"),
            ('r', "read 1000 3"),
            ('w', "write 4 64 write"),
            ('r', "read 1000 4"),
            ('w', "write 5 100 write"),
        ],
    ),
    (
        "5-exact-fill",
        "Frame 5 read; frame 6 (124 bytes) ended exactly at the end of the ring and was read: write position 0, read\n# position 256.",
        &[('r', "read 1000 5"), ('w', "write 6 124 buffer"), ('r', "read 1000 6")],
    ),
    ("6-closed", "The writer has closed: its pid is 0.", &[('w', "close")]),
];

/// Plays the script and returns each snapshot.
fn play(reader: &mut Peer, writer: &mut Peer, len: usize) -> Vec<Vec<u8>> {
    let name = Name::new("golden");
    reader.must(&format!("create {} 64 256", &*name));
    let segment = Segment::open(&name);
    // A section has whole pages.
    #[cfg(target_os = "linux")]
    assert!(segment.len() == LEN as u64 || segment.len() == (LEN + NATIVE) as u64);
    let pids = [reader.pid(), writer.pid()];
    let snapshots = SCRIPT.iter().map(|(_, _, actions)| {
        for (who, command) in *actions {
            let connect = format!("connect {} 0", &*name);
            let command = if *command == "connect" { &connect } else { *command };
            if *who == 'r' { &mut *reader } else { &mut *writer }.must(command);
        }
        for (offset, pid) in [READER_PID, WRITER_PID].into_iter().zip(pids) {
            assert!([0, pid].contains(&segment.get(offset)), "a pid that is nobody's");
        }
        segment.bytes(0, len)
    });
    let snapshots = snapshots.collect();
    reader.must("close");
    snapshots
}

/// The file of a snapshot: 16 bytes a line, a set pid as `pp`.
fn render(comment: &str, bytes: &[u8]) -> String {
    let mut text = format!("# {comment}\n# Offset: bytes; pp stands for the eight bytes of a process id.\n");
    let masked: Vec<Range<usize>> = [WRITER_PID, READER_PID]
        .map(|offset| offset as usize..offset as usize + 8)
        .into_iter()
        .filter(|range| bytes[range.clone()].iter().any(|byte| *byte != 0))
        .collect();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        write!(text, "{:03x}:", line * 16).unwrap();
        for (column, byte) in chunk.iter().enumerate() {
            let is_pid = masked.iter().any(|range| range.contains(&(line * 16 + column)));
            if is_pid { text.push_str(" pp") } else { write!(text, " {byte:02x}").unwrap() }
        }
        text.push('\n');
    }
    text
}

/// `form`: begins the names of the files.
fn compare(who: &str, form: &str, snapshots: &[Vec<u8>]) {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    for ((file, comment, _), bytes) in SCRIPT.iter().zip(snapshots) {
        let path = directory.join(format!("{form}{file}.hex"));
        let native = format!("The steps of {file}.hex with a native writer, in native form.");
        let found = render(if form.is_empty() { comment } else { &native }, bytes);
        if std::env::var_os("ZEROBUFFER_TEST_BLESS").is_some_and(|value| value == "1") {
            fs::write(&path, &found).unwrap();
        }
        let wanted = fs::read_to_string(&path).unwrap();
        for (found, wanted) in found.lines().zip(wanted.lines()) {
            assert_eq!(found, wanted, "{who}: {file}");
        }
        assert_eq!(found.len(), wanted.len(), "{who}: {file}");
    }
}

#[test]
fn native_ends_leave_the_bytes_written_down() {
    compare("native", "native-", &play(&mut Peer::native(), &mut Peer::native(), LEN + NATIVE));
}

#[test]
fn a_legacy_writer_leaves_the_same_bytes() {
    let Some(mut old) = Peer::old() else { return };
    compare("a legacy writer", "", &play(&mut Peer::native(), &mut old, LEN));
}

#[test]
fn a_legacy_reader_sees_the_same_bytes() {
    let Some(mut old) = Peer::old() else { return };
    let mut snapshots = play(&mut old, &mut Peer::native(), LEN);
    // A legacy reader goes back to 0 at once after an exact fill. A native one says 256, for the
    // sake of legacy writers (A1).
    for bytes in &mut snapshots[4..] {
        let position = &mut bytes[READ_POS as usize..READ_POS as usize + 8];
        assert_eq!(position, 0_u64.to_le_bytes());
        position.copy_from_slice(&256_u64.to_le_bytes());
    }
    compare("a legacy reader", "", &snapshots);
}
