//! Metadata belong to the writer: a successor replaces them, and the reader shows these with that
//! writer's first frame.

use crate::common::{Name, Peer, Segment, content};
use std::time::{Duration, Instant};
use zerobuffer::{BufferConfig, Error, ErrorKind, Reader, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(60);

fn shown(reader: &Reader) -> Option<Vec<u8>> {
    reader.metadata().unwrap().map(|metadata| metadata.data().to_vec())
}

fn read(reader: &mut Reader) -> u64 {
    reader.read_timeout(LONG).unwrap().expect("a frame").sequence()
}

fn reader(name: &str) -> Reader {
    Reader::create(name, BufferConfig::ring(4096).metadata(256)).unwrap()
}

#[test]
fn the_first_writers_are_told_at_once_and_a_successors_with_its_first_frame() {
    let name = Name::new("meta-order");
    let mut reader = reader(&name);
    // The reader asks for none of them before: it is shown the predecessor's all the same.
    for asks_early in [true, false] {
        let mut first = Writer::connect(&name).unwrap();
        first.set_metadata(b"first").unwrap();
        if asks_early {
            assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]), "at once");
        }
        first.write(b"a").unwrap();
        first.write(b"b").unwrap();
        first.close().unwrap();
        let mut second = Writer::connect(&name).unwrap();
        read(&mut reader);
        read(&mut reader);
        second.set_metadata(b"the second writer's").unwrap();
        assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]), "not before its first frame");
        second.write(b"c").unwrap();
        assert!(reader.is_writer_connected());
        assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]), "not before that is taken");
        read(&mut reader);
        assert_eq!(shown(&reader).as_deref(), Some(&b"the second writer's"[..]));
        let Err(Error::MetadataAlreadyWritten { .. }) = second.set_metadata(b"the second writer's") else {
            panic!("one writer writes once")
        };
        second.close().unwrap();
        let mut third = Writer::connect(&name).unwrap();
        third.set_metadata(b"first").unwrap();
        third.write(b"d").unwrap();
        read(&mut reader);
        third.close().unwrap();
    }
}

#[test]
fn equal_bytes_pass_at_once_and_hold_on() {
    let name = Name::new("meta-equal");
    let mut reader = reader(&name);
    for round in 0..3 {
        let mut writer = Writer::connect(&name).unwrap();
        writer.set_metadata(b"as ever").unwrap();
        assert!(writer.set_metadata(b"as ever").is_err(), "a second call of the same writer");
        assert_eq!(shown(&reader).as_deref(), Some(&b"as ever"[..]), "round {round}, nothing is waited for");
        writer.write(b"left unread").unwrap();
    }
    (0..3).for_each(|_| drop(reader.read_timeout(LONG).unwrap().unwrap()));
    assert_eq!(shown(&reader).as_deref(), Some(&b"as ever"[..]));
}

#[test]
fn a_predecessors_unread_frames_are_waited_for_in_the_write_timeout() {
    let name = Name::new("meta-wait");
    let mut reader = reader(&name);
    let mut first = Writer::connect(&name).unwrap();
    first.set_metadata(b"first").unwrap();
    first.write(&[1; 100]).unwrap();
    first.close().unwrap();
    let timeout = Duration::from_millis(150);
    let config = WriterConfig::default().write_timeout(Some(timeout));
    let mut second = Writer::connect_with(&name, config).unwrap();
    let begun = Instant::now();
    let error = second.set_metadata(b"second").unwrap_err();
    assert!(begun.elapsed() >= timeout);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains("128 bytes") && text.contains(&*name), "{text}");
    assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]));
    // Too large is an error at once.
    assert!(matches!(second.set_metadata(&[0; 249]), Err(Error::MetadataTooLarge { max: 248, .. })));
    second.set_write_timeout(Some(LONG));
    let waiting = std::thread::spawn(move || {
        second.set_metadata(b"second").unwrap();
        second.write(b"x").unwrap();
        second
    });
    std::thread::sleep(Duration::from_millis(30));
    // Taken is enough: it may be held.
    let held = reader.read_timeout(LONG).unwrap().unwrap();
    let mut second = waiting.join().unwrap();
    assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]));
    assert_eq!(read(&mut reader), 2);
    assert_eq!(shown(&reader).as_deref(), Some(&b"second"[..]));
    drop(held);
    second.write(b"y").unwrap();
}

#[test]
fn a_wait_ends_with_its_reader_and_by_an_interrupt() {
    let name = Name::new("meta-end");
    for interrupted in [true, false] {
        let mut reader = reader(&name);
        let mut first = Writer::connect(&name).unwrap();
        first.set_metadata(b"first").unwrap();
        first.write(&[1; 100]).unwrap();
        first.close().unwrap();
        let config = WriterConfig::default().write_timeout(None);
        let mut second = Writer::connect_with(&name, config).unwrap();
        let handle = second.handle();
        let waiting = std::thread::spawn(move || second.set_metadata(b"second"));
        std::thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        if interrupted {
            handle.interrupt();
        } else {
            reader.close().unwrap();
            reader = self::reader(&format!("{}-other", &*name));
        }
        let ended = waiting.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        match ended {
            Err(Error::Closed { .. }) if interrupted => {}
            Err(Error::ReaderGone { .. }) if !interrupted => {}
            other => panic!("{other:?}"),
        }
        drop(reader);
    }
}

#[test]
fn one_that_has_set_none_leaves_its_predecessors_and_one_without_frames_was_never_there() {
    let name = Name::new("meta-none");
    let mut reader = reader(&name);
    let mut first = Writer::connect(&name).unwrap();
    first.set_metadata(b"first").unwrap();
    first.write(b"a").unwrap();
    first.close().unwrap();
    read(&mut reader);
    let mut silent = Writer::connect(&name).unwrap();
    silent.set_metadata(b"never told of").unwrap();
    silent.close().unwrap();
    assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]));
    let mut third = Writer::connect(&name).unwrap();
    third.set_metadata(b"third").unwrap();
    assert_eq!(shown(&reader).as_deref(), Some(&b"first"[..]));
    third.write(b"b").unwrap();
    read(&mut reader);
    assert_eq!(shown(&reader).as_deref(), Some(&b"third"[..]));
    third.close().unwrap();
    let mut fourth = Writer::connect(&name).unwrap();
    fourth.write(b"c").unwrap();
    read(&mut reader);
    assert_eq!(shown(&reader).as_deref(), Some(&b"third"[..]));
}

#[test]
fn a_late_first_set_of_a_successor_holds_for_its_frames_only() {
    let name = Name::new("meta-late");
    let mut reader = reader(&name);
    let mut first = Writer::connect(&name).unwrap();
    first.write(b"a").unwrap();
    first.close().unwrap();
    let mut second = Writer::connect(&name).unwrap();
    second.set_metadata(b"second").unwrap();
    second.write(b"b").unwrap();
    assert_eq!((shown(&reader), read(&mut reader), shown(&reader)), (None, 1, None), "the first one's frame");
    assert_eq!((read(&mut reader), shown(&reader)), (2, Some(b"second".to_vec())));
}

/// The reader meets the frames behind them on its short way, and then its writer has been replaced.
#[test]
fn metadata_set_behind_frames_are_shown_until_the_successors_first_frame() {
    let name = Name::new("meta-behind");
    let mut reader = reader(&name);
    let mut first = Writer::connect(&name).unwrap();
    for number in 1..=5 {
        first.write(b"before").unwrap();
        assert_eq!(read(&mut reader), number);
    }
    first.set_metadata(b"late").unwrap();
    first.write(b"behind").unwrap();
    assert_eq!(read(&mut reader), 6);
    first.close().unwrap();
    let mut second = Writer::connect(&name).unwrap();
    second.set_metadata(b"the second writer's").unwrap();
    assert_eq!(shown(&reader), Some(b"late".to_vec()), "no frame of the second one is taken");
    second.write(b"its first").unwrap();
    assert_eq!(read(&mut reader), 7);
    assert_eq!(shown(&reader), Some(b"the second writer's".to_vec()));
}

/// Each sender is a process that is killed at any moment; the reader is another one. What is shown
/// with a frame is whole, and that of its sender.
#[test]
fn killed_senders_leave_whole_metadata() {
    let name = Name::new("meta-kill");
    let mut reader = Reader::create(&name, BufferConfig::ring(64 * 1024).metadata(64 * 1024)).unwrap();
    let size = |round: u64| 20_000 + 97 * round as usize;
    let mut last = None;
    for round in 0..16_u64 {
        let mut sender = Peer::native();
        sender.must(&format!("connect {} 20000", &*name));
        sender.tell(&format!("set-meta {round} {}", size(round)));
        let dies_early = round % 3 == 1;
        if dies_early {
            std::thread::sleep(Duration::from_micros(crate::common::pattern::mix(round) % 3000));
            sender.kill();
        } else {
            sender.must_reply();
            let before = if round == 0 { Some(size(0)) } else { last };
            assert_eq!(
                shown(&reader).map(|bytes| bytes.len()),
                before,
                "round {round}: before its first frame"
            );
            sender.must(&format!("write {round} 100 write"));
            assert!(reader.read_timeout(LONG).unwrap().is_some());
            last = Some(size(round));
            crate::common::check(&shown(&reader).unwrap(), round).unwrap();
            sender.kill();
        }
        assert_eq!(shown(&reader).map(|bytes| bytes.len()), last, "round {round}: after its death");
        let gone = reader.read_timeout(LONG);
        assert!(matches!(gone, Err(Error::WriterGone { .. })), "{gone:?}");
    }
}

/// The published package at the other end: what it published keeps its rules.
#[test]
fn beside_another_implementation_metadata_are_written_once() {
    let Some(mut old) = Peer::old() else { return };
    let name = Name::new("meta-old-r");
    old.must(&format!("create {} 256 4096", &*name));
    let mut first = Writer::connect(&name).unwrap();
    first.set_metadata(b"first").unwrap();
    first.close().unwrap();
    let mut second = Writer::connect(&name).unwrap();
    second.set_metadata(b"first").unwrap();
    second.close().unwrap();
    let mut third = Writer::connect(&name).unwrap();
    let error = third.set_metadata(b"third").unwrap_err();
    assert!(matches!(error, Error::MetadataAlreadyWritten { .. }), "{error}");
    drop(third);
    old.must("close");

    // A legacy writer's are replaced by a native successor's, shown with its first frame.
    let name = Name::new("meta-old-w");
    let mut reader = reader(&name);
    let mut old = Peer::old().unwrap();
    old.must(&format!("connect {} 20000", &*name));
    old.must("set-meta 7 50");
    old.must("write 1 100 write");
    assert_eq!(read(&mut reader), 1);
    old.must("close");
    let mut next = Writer::connect(&name).unwrap();
    next.set_metadata(b"next").unwrap();
    assert_eq!(shown(&reader).map(|bytes| bytes.len()), Some(50));
    next.write(b"x").unwrap();
    assert_eq!(read(&mut reader), 2);
    assert_eq!(shown(&reader).as_deref(), Some(&b"next"[..]));
}

/// Behind frames, in legacy form: the block holds from then on for readers of both kinds. It holds
/// for frames that were written before and are unread, too.
#[test]
fn late_metadata_in_legacy_form_hold_at_once() {
    let Some(mut old) = Peer::old() else { return };
    // The reader is the published one.
    let name = Name::new("meta-late-old-r");
    old.must(&format!("create {} 256 4096", &*name));
    let mut first = Writer::connect(&name).unwrap();
    first.write(&content(1, 100)).unwrap();
    first.write(&content(2, 100)).unwrap();
    assert_eq!(old.must("read 60000 1"), "1 100");
    assert_eq!(old.must("get-meta 7"), "none");
    first.set_metadata(&content(7, 50)).unwrap();
    assert_eq!(old.must("get-meta 7"), "50", "frame 2 is unread");
    assert_eq!(old.must("read 60000 2"), "2 100");
    assert!(matches!(first.set_metadata(&content(7, 50)), Err(Error::MetadataAlreadyWritten { .. })));
    first.write(&content(3, 100)).unwrap();
    first.close().unwrap();
    // So is a successor's second call, and what differs; equal bytes pass, however late.
    let mut second = Writer::connect(&name).unwrap();
    second.write(&content(4, 100)).unwrap();
    assert!(matches!(second.set_metadata(&content(8, 50)), Err(Error::MetadataAlreadyWritten { .. })));
    second.set_metadata(&content(7, 50)).unwrap();
    assert!(second.set_metadata(&content(7, 50)).is_err(), "a second call of the same writer");
    assert_eq!(old.must("read 60000 3"), "3 100");
    assert_eq!(old.must("read 60000 4"), "4 100");
    assert_eq!(old.must("get-meta 7"), "50");
    drop(second);
    old.must("close");

    // The writer is.
    let name = Name::new("meta-late-old-w");
    let mut reader = self::reader(&name);
    old.must(&format!("connect {} 20000", &*name));
    old.must("write 1 100 write");
    old.must("write 2 100 buffer");
    assert_eq!((read(&mut reader), shown(&reader)), (1, None));
    old.must("set-meta 7 50");
    assert_eq!(shown(&reader), Some(content(7, 50)), "frame 2 is unread");
    assert_eq!((read(&mut reader), shown(&reader)), (2, Some(content(7, 50))));
    old.must("close");

    // Both are native: while a frame of legacy form is held, none enters the native form.
    let name = Name::new("meta-late-held");
    let mut reader = self::reader(&name);
    old.must(&format!("connect {} 20000", &*name));
    old.must("write 1 100 write");
    let held = reader.read_timeout(LONG).unwrap().unwrap();
    old.must("close");
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"before").unwrap();
    assert!(!Segment::open(&name).is_native());
    writer.set_metadata(b"late").unwrap();
    assert_eq!(shown(&reader).as_deref(), Some(&b"late"[..]), "its frame is unread");
    drop(held);
    read(&mut reader);
    assert_eq!(shown(&reader).as_deref(), Some(&b"late"[..]));
}
