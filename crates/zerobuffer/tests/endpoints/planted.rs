//! Buffers and leftovers that no native endpoint has made: files in `/dev/shm` under a buffer's
//! name.
// The files are those of Linux.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::segment::{self, by_hand, semaphore_by_hand};
use crate::common::{Name, Segment, check, content, expect_error};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig, observe};

/// The pid of a process that is dead and reaped.
fn dead_pid() -> u64 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    u64::from(child.id())
}

fn pair(name: &Name) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(1024).metadata(64)).unwrap();
    (reader, Writer::connect(name).unwrap())
}

/// Leftovers of every kind under the name: lock files, a dead reader's segment, semaphores with
/// tokens in them. A segment alone is no proof: nothing says that it is not somebody's copy of one.
#[test]
fn planted_leftovers_are_taken_over() {
    // Makes the folders of the lock files as they should be.
    Reader::create(&Name::new("folders"), BufferConfig::ring(64).metadata(0)).unwrap().close().unwrap();
    for planted in 1..32 {
        let name = Name::new("planted");
        let contents =
            [by_hand(64, 4096, dead_pid()), semaphore_by_hand(9), semaphore_by_hand(0), vec![], vec![]];
        for (index, (path, content)) in name.files().iter().zip(&contents).enumerate() {
            if planted >> index & 1 == 1 {
                fs::write(path, content).unwrap();
            }
        }
        if planted == 1 {
            let message =
                expect_error(Reader::create(&name, BufferConfig::ring(1024).metadata(64)), "NotABuffer");
            assert!(message.contains(&*name) && message.contains("/dev/shm/"), "{message}");
            assert_eq!(fs::read(name.shm()).unwrap(), contents[0]);
            assert_eq!(name.leftovers(), [name.shm()]);
            continue;
        }
        let (mut reader, mut writer) = pair(&name);
        assert!(reader.try_read().unwrap().is_none());
        assert_eq!(reader.capacity(), 1024);
        for key in 1..=20 {
            writer.write(&content(key, 300)).unwrap();
            check(reader.try_read().unwrap().expect("a frame is there").data(), key).unwrap();
        }
        reader.close().unwrap();
        writer.close().unwrap();
        name.assert_gone();
    }
}

/// What has a semaphore's name and is none is not replaced.
#[test]
fn a_foreign_file_under_a_semaphores_name() {
    for (index, bytes) in
        [vec![0xA5; 32], vec![0; 32], semaphore_by_hand(1)[..31].to_vec(), vec![]].iter().enumerate()
    {
        let name = Name::new("foreign-sem");
        let path = &name.semaphores()[index % 2];
        fs::write(path, bytes).unwrap();
        let message = expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "NotABuffer");
        assert!(message.contains("/dev/shm/sem.sem-"), "{message}");
        assert_eq!(&fs::read(path).unwrap(), bytes);
        assert_eq!(name.leftovers(), std::slice::from_ref(path), "something was left or removed");
    }
}

/// A segment with its semaphores made without any endpoint; its reader is a live process without
/// presence locks, as a legacy reader is.
fn plant(name: &Name, segment: &[u8]) {
    for path in name.semaphores() {
        fs::write(path, semaphore_by_hand(0)).unwrap();
    }
    fs::write(name.shm(), segment).unwrap();
}

fn a_live_pid() -> u64 {
    u64::from(std::os::unix::process::parent_id())
}

/// A2 and A5: what a legacy reader cannot be sent is refused at once, with the ring size that would
/// do.
#[test]
fn frames_that_are_unplaceable_for_a_legacy_reader() {
    let name = Name::new("old-geometry");
    plant(&name, &by_hand(0, 256, a_live_pid()));
    let config = WriterConfig::default().write_timeout(Some(Duration::from_secs(60)));
    let mut writer = Writer::connect_with(&name, config).unwrap();
    for total in 241..=255_u64 {
        let start = Instant::now();
        match writer.write(&vec![1; total as usize - 16]) {
            Err(Error::Unplaceable { size, capacity, needed_capacity, .. }) => {
                assert_eq!((size, capacity), (total - 16, 256));
                assert!(needed_capacity >= total + 16, "a ring of {needed_capacity} bytes does not help");
            }
            other => panic!("{total}: {other:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "refused by geometry, not by waiting");
    }
    assert_eq!(Segment::open(&name).get(segment::WRITTEN_COUNT), 0);
    writer.write(&[1; 240]).unwrap();
    // The ring is full now; nobody reads.
    writer.set_write_timeout(Some(Duration::from_millis(50)));
    let message = expect_error(writer.write(&[1; 10]), "Full");
    assert!(message.contains("26") && message.contains("256"), "{message}");
}

/// A commit may be shorter than its loan, unless the rest would become a tail that a legacy reader
/// dies of (A2).
#[test]
fn a_shorter_commit_stays_valid_for_a_legacy_reader() {
    let name = Name::new("old-commit");
    plant(&name, &by_hand(0, 256, a_live_pid()));
    let mut writer = Writer::connect(&name).unwrap();
    let segment = Segment::open(&name);
    for len in 225..240 {
        let message = expect_error(writer.loan(240).unwrap().commit_len(len), "InvalidCommit");
        assert!(message.contains(&len.to_string()) && message.contains("240"), "{message}");
        writer.begin(240).unwrap();
        expect_error(writer.commit(len), "InvalidCommit");
        assert_eq!(segment.get(segment::WRITTEN_COUNT), 0);
    }
    // The refused length left the loan as it was.
    assert_eq!(writer.commit(224).unwrap(), 1);
    assert_eq!(segment.get(segment::WRITE_POS), 240);
    assert_eq!(segment.free(), 16);
}

/// A file that is no buffer is nobody's to remove.
#[test]
fn a_foreign_file_under_the_name() {
    let name = Name::new("foreign");
    let mut begins_alike = [255; 4096];
    begins_alike[..4].copy_from_slice(&[128, 0, 0, 0]);
    for bytes in [&b"a letter"[..], &[7; 4096], &begins_alike] {
        fs::write(name.shm(), bytes).unwrap();
        let message = expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "NotABuffer");
        assert!(message.contains(&*name), "{message}");
        let refused = Writer::connect(&name).map(drop).unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. } | Error::Version { .. }), "{refused}");
        let orphans = observe::orphans().unwrap();
        assert!(!orphans.iter().any(|orphan| orphan.name == *name), "a foreign file would be cleaned away");
        assert_eq!(name.leftovers(), [name.shm()], "something was left or removed");
        assert_eq!(fs::read(name.shm()).unwrap(), bytes);
    }
}

#[test]
fn segments_that_a_writer_must_not_attach_to() {
    let connect = |segment: &[u8]| {
        let name = Name::new("segment");
        plant(&name, segment);
        let result = Writer::connect(&name);
        assert_eq!(fs::read(name.shm()).unwrap(), segment, "a failed attach leaves no trace");
        match result {
            Ok(_) => panic!("attached to a damaged segment"),
            Err(error) => (crate::common::variant(&error), error.to_string()),
        }
    };
    let with = |offset: u64, value: u64| {
        let mut segment = by_hand(64, 1024, a_live_pid());
        segment[offset as usize..offset as usize + 8].copy_from_slice(&value.to_le_bytes());
        segment
    };
    for (major, minor) in [(0, 0), (2, 0), (255, 9)] {
        let (kind, message) = connect(&with(0, 128 | major << 32 | minor << 40));
        assert_eq!(kind, "Version");
        assert!(message.contains(&format!("{major}.{minor}")), "{message}");
    }
    for size in [1, 127, 129, 0xFFFF_FFFF] {
        let (kind, message) = connect(&with(0, size | 1 << 32));
        assert_eq!(kind, "Corrupt", "{message}");
        assert!(message.contains(&size.to_string()) && message.contains("128"), "{message}");
    }
    for (offset, values) in [
        (segment::METADATA_SIZE, [1, 65, 128, 1 << 40, u64::MAX - 63, u64::MAX]),
        (segment::PAYLOAD_SIZE, [0, 1000, 1088, 1 << 40, u64::MAX - 63, u64::MAX]),
    ] {
        for value in values {
            let (kind, message) = connect(&with(offset, value));
            assert_eq!(kind, "Corrupt", "{message}");
            assert!(message.contains(&value.to_string()), "{message}");
        }
    }
    for len in [0, 1, 127, 128, 1151, 1215] {
        let (kind, message) = connect(&by_hand(64, 1024, a_live_pid())[..len]);
        assert!(kind == "Corrupt" || kind == "NotReady", "{len} bytes: {kind}: {message}");
    }
    let (kind, message) = connect(&with(0, 0));
    assert_eq!(kind, "NotReady", "{message}");
    for pid in [0, u64::from(u32::MAX), u64::MAX] {
        let (kind, message) = connect(&with(segment::READER_PID, pid));
        assert!(
            ["ReaderGone", "NotReady", "Corrupt"].contains(&kind.as_str()),
            "pid {pid}: {kind}: {message}"
        );
    }
    let other = u64::from(std::process::id());
    let (kind, message) = connect(&with(segment::WRITER_PID, a_live_pid()));
    assert_eq!(kind, "WriterAlreadyConnected", "{other}: {message}");
    assert!(message.contains(&a_live_pid().to_string()), "{message}");
}

#[test]
fn a_minor_version_of_the_same_major_is_accepted() {
    let name = Name::new("minor");
    let mut segment = by_hand(64, 1024, a_live_pid());
    segment[5] = 9;
    segment[6] = 7;
    plant(&name, &segment);
    Writer::connect(&name).unwrap().write(b"x").unwrap();
}

#[test]
fn a_buffer_without_its_semaphores() {
    for missing in 0..2 {
        let name = Name::new("no-sem");
        let image = by_hand(64, 1024, a_live_pid());
        plant(&name, &image);
        fs::remove_file(&name.semaphores()[missing]).unwrap();
        let error = Writer::connect(&name).map(drop).unwrap_err();
        let kind = crate::common::variant(&error);
        assert!(["NotReady", "NotFound", "Os"].contains(&kind.as_str()), "{kind}: {error}");
        assert_eq!(fs::read(name.shm()).unwrap(), image, "a failed attach leaves no trace");
    }
}
