//! Hostile memory: every end does what it can while every word of the buffer takes any value (W13).

use crate::{
    damage::{CONTROL, Victim, objects},
    fresh,
    script::Script,
};
use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};
use zerobuffer::{BufferConfig, Error, Frame, Reader, WaitStrategy, Writer, WriterConfig, observe};

/// Frames held at a time.
const HELD: usize = 4;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let name = fresh::name("hostile");
    if script.byte().is_multiple_of(4) {
        by_hand(&name, &mut script);
    } else {
        during_operation(&name, &mut script);
    }
    fresh::sweep(&name);
}

/// Any outcome is right that is an outcome; an error tells which buffer it is about, and what was
/// expected.
pub(crate) fn judge<T>(name: &str, result: zerobuffer::Result<T>) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    match &error {
        Error::Corrupt { field, expected, .. } => {
            assert!(!field.is_empty() && !expected.is_empty(), "{error}");
        }
        // No call fails, and nothing is out of room, because of what a peer has written.
        Error::Os { .. } | Error::NoSpace { .. } | Error::PermissionDenied { .. } | Error::Forked { .. } => {
            panic!("{error}")
        }
        _ => {}
    }
    assert!(error.to_string().contains(name), "the error does not name the buffer {name}: {error}");
    None
}

/// A segment that no native reader has made: attach and look.
fn by_hand(name: &str, script: &mut Script<'_>) {
    let (metadata, payload) = (u64::from(script.byte() % 3) * 64, 64 + u64::from(script.byte() % 8) * 64);
    // A process that lives. A legacy endpoint of this one would be dead, as it has no lock.
    let pid = 1_u64;
    let mut bytes = vec![0; usize::try_from(CONTROL + metadata + payload).unwrap()];
    for (word, value) in
        [(0, 128 | 1 << 32), (1, metadata), (2, metadata), (4, payload), (5, payload), (11, pid)]
    {
        bytes[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
    }
    let [memory, semaphores @ ..] = objects(name);
    // The sticky bit is how a native reader marks its segment (W8).
    let marked = script.byte().is_multiple_of(4);
    fs::write(&memory, &bytes).unwrap();
    fs::set_permissions(&memory, fs::Permissions::from_mode(if marked { 0o1600 } else { 0o600 })).unwrap();
    for path in semaphores {
        fs::write(path, [0; 32]).unwrap();
    }
    let segment = Victim::open(name, metadata, payload).unwrap();
    while let Some(step) = script.next() {
        match step % 8 {
            0..=4 => segment.damage(&mut || script.byte()).unwrap(),
            5 => look(name),
            // A file of another size than the control block says.
            6 => {
                let len = u64::try_from(bytes.len()).unwrap();
                let len = (len + u64::from(script.byte())).saturating_sub(128).max(8);
                let file = fs::OpenOptions::new().write(true).open(&memory).unwrap();
                file.set_len(len).unwrap();
                look(name);
                judge(name, Writer::connect_with(name, hurried()));
                return;
            }
            _ => {
                if let Some(mut writer) = judge(name, Writer::connect_with(name, hurried())) {
                    write(name, &mut writer, script);
                }
            }
        }
    }
}

/// Waits for nothing.
pub(crate) fn hurried() -> WriterConfig {
    let config = WriterConfig::default().connect_timeout(Duration::ZERO).write_timeout(Some(Duration::ZERO));
    config.wait(WaitStrategy::Block)
}

fn look(name: &str) {
    if let Some(info) = judge(name, observe::inspect(name)) {
        assert!(info.metadata.is_none_or(|metadata| metadata.len() <= 64 * 1024));
    }
}

fn write(name: &str, writer: &mut Writer, script: &mut Script<'_>) {
    let size = (script.short() % (writer.capacity() + 64)) as usize;
    match script.byte() % 5 {
        0 => drop(judge(name, writer.try_write(&vec![7; size]))),
        1 => {
            if let Some(mut loan) = judge(name, writer.try_loan(size)) {
                assert_eq!(loan.len(), size);
                loan.fill(8);
                judge(name, loan.commit_len(size / 2));
            }
        }
        2 => drop(judge(name, writer.try_loan(size))),
        3 => {
            if judge(name, writer.try_begin(size)).is_some() {
                writer.pending().unwrap().fill(9);
                judge(name, writer.commit(size));
            }
        }
        _ => drop(judge(name, writer.set_metadata(&vec![5; size]))),
    }
    let _ = (writer.is_reader_connected(), writer.stats(), writer.utilization());
}

/// Both native ends, and a third party that writes over everything between two of their steps.
fn during_operation(name: &str, script: &mut Script<'_>) {
    let metadata = u64::from(script.byte() % 3) * 64;
    let payload = script.pick(&[64, 128, 512, 1024]);
    let config = BufferConfig::ring(payload).metadata(metadata).prefault(false).wait(WaitStrategy::Block);
    let mut reader = Reader::create(name, config).unwrap();
    let segment = Victim::open(name, metadata, payload).unwrap();
    let mut writer = judge(name, Writer::connect_with(name, hurried()));
    let mut held: Vec<Frame> = Vec::new();
    while let Some(step) = script.next() {
        match step % 16 {
            0..=3 => segment.damage(&mut || script.byte()).unwrap(),
            4..=6 => match &mut writer {
                Some(writer) => write(name, writer, script),
                None => writer = judge(name, Writer::connect_with(name, hurried())),
            },
            7..=9 => held.extend(judge(name, reader.try_read()).flatten()),
            10 => held.extend(judge(name, reader.try_latest()).flatten().map(|latest| latest.frame)),
            11 if !held.is_empty() => {
                drop(held.swap_remove(usize::from(script.byte()) % held.len()));
            }
            12 => {
                if let Some(metadata_read) = judge(name, reader.metadata()).flatten() {
                    let bytes = metadata_read.data();
                    assert!(bytes.len() as u64 + 8 <= metadata, "{} bytes of metadata", bytes.len());
                    std::hint::black_box(bytes.iter().fold(0, |sum: u8, byte| sum ^ byte));
                }
            }
            13 => {
                let _ = (reader.is_writer_connected(), reader.writer_died(), reader.utilization());
                look(name);
            }
            14 => drop(writer.take()),
            // A wait, too: it ends at once or after a slice.
            _ if script.byte().is_multiple_of(16) => {
                held.extend(judge(name, reader.read_timeout(Duration::from_millis(1))).flatten());
            }
            _ => {}
        }
        held.truncate(HELD);
        inspect(&held, payload);
    }
    drop(writer);
    judge(name, reader.close());
    inspect(&held, payload);
}

/// Frames that are held lie in one ring and not over each other, whatever their headers say.
fn inspect(held: &[Frame], payload: u64) {
    let mut ranges: Vec<(usize, usize)> = held
        .iter()
        .map(|frame| {
            std::hint::black_box(frame.data().iter().fold(0, |sum: u8, byte| sum ^ byte));
            assert!(frame.len() as u64 + 16 <= payload, "a frame of {} in {payload}", frame.len());
            let start = frame.data().as_ptr().addr();
            (start - 16, start + frame.len())
        })
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "frames overlap: {ranges:x?}");
    }
    if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
        assert!((last.1 - first.0) as u64 <= payload, "frames outside of one ring: {ranges:x?}");
    }
}
