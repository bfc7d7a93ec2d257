//! Writers that come, die and go between two looks of their reader: what shuttle found, each step
//! put where it was then.

use super::*;
use crate::{
    BufferConfig, Error, Frame, Reader, Writer,
    layout::{FrameHeader, NativeWord},
    sys::Presence,
};
use std::{fs::File, time::Duration};

fn reader(case: &str) -> Reader {
    let name = crate::testing::name(&format!("zb-successors-{case}"));
    Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap()
}

fn attach(reader: &Reader) -> Writer {
    Writer::connect(reader.name()).unwrap()
}

/// Writes a frame, and gives it the number that it has when a dead predecessor has used one up.
fn write_after_a_gap(reader: &Reader, writer: &mut Writer) -> u64 {
    let number = writer.write(&[7; 10]).unwrap().sequence().unwrap();
    give_number(reader, number + 1);
    number + 1
}

/// Another number for the newest frame, of 10 bytes.
fn give_number(reader: &Reader, sequence: u64) {
    let region = &reader.shared.region;
    let word = |word| region.native_load(word, Ordering::Acquire);
    let (last, newest) = (word(NativeWord::LAST), word(NativeWord::JUMPS));
    let [from, to] = NativeWord::jump(newest).map(word);
    assert!(region.put_header(to + last - from, FrameHeader { size: 10, sequence }));
}

fn read(reader: &mut Reader) -> u64 {
    let frame: Option<Frame> = reader.try_read().unwrap();
    frame.expect("a frame was written").sequence()
}

/// The mark of an attach that found its predecessor dead.
fn leave_a_mark(reader: &Reader) {
    reader.shared.region.store(Word::WriterPid, TOMBSTONE, Ordering::SeqCst);
}

#[test]
fn a_successor_that_was_not_seen_may_have_any_number() {
    let mut reader = reader("unseen");
    let mut first = attach(&reader);
    first.write(&[1]).unwrap();
    assert_eq!(read(&mut reader), 1);
    first.close().unwrap();
    assert!(matches!(reader.try_read(), Err(Error::WriterGone { .. })));
    let mut second = attach(&reader);
    let number = write_after_a_gap(&reader, &mut second);
    second.close().unwrap();
    assert_eq!((read(&mut reader), number), (3, 3));
}

/// The first writer comes and goes between two looks. Its successor is seen together with its first
/// frame, whose number is 1, as that of a legacy writer is.
#[test]
fn a_successor_of_a_first_writer_that_was_not_seen_may_begin_at_one() {
    for looks_between in [false, true] {
        let mut reader = reader("unseen-then-legacy");
        let mut first = attach(&reader);
        for number in 1..=3 {
            assert_eq!(first.write(&[number; 10]).unwrap().sequence(), Some(number.into()));
        }
        first.close().unwrap();
        (1..=3).for_each(|number| assert_eq!(read(&mut reader), number));
        if looks_between {
            assert!(matches!(reader.try_read(), Err(Error::WriterGone { .. })));
        }
        let mut second = attach(&reader);
        second.write(&[7; 10]).unwrap();
        give_number(&reader, 1);
        assert_eq!(read(&mut reader), 1, "looks between {looks_between}");
    }
}

#[test]
fn a_first_writer_that_was_not_seen_may_have_any_number_after_a_death() {
    let mut reader = reader("first-unseen");
    leave_a_mark(&reader);
    // Notices the mark and takes it away; nobody has written.
    let _ = reader.try_read();
    let mut writer = attach(&reader);
    let number = write_after_a_gap(&reader, &mut writer);
    writer.close().unwrap();
    assert_eq!((read(&mut reader), number), (2, 2));
}

#[test]
fn a_successor_of_one_that_is_known_by_its_mark_alone_may_have_any_number() {
    let mut reader = reader("mark");
    let mut dead = attach(&reader);
    dead.write(&[1]).unwrap();
    dead.close().unwrap();
    leave_a_mark(&reader);
    assert!(reader.wait_for_writer(Duration::ZERO).unwrap(), "its frame is unread, itself was never met");
    let mut writer = attach(&reader);
    let number = write_after_a_gap(&reader, &mut writer);
    assert_eq!((read(&mut reader), read(&mut reader), number), (1, 3, 3));
}

#[test]
fn an_empty_ring_seen_before_a_last_frame_says_nothing_of_its_successor() {
    let mut reader = reader("drained");
    let mut first = attach(&reader);
    assert!(reader.try_read().unwrap().is_none(), "empty, and its writer is met");
    first.write(&[1]).unwrap();
    first.close().unwrap();
    let mut second = attach(&reader);
    let number = write_after_a_gap(&reader, &mut second);
    // Both live in this process: a number that is not its own distinguishes the second from the
    // first.
    reader.shared.data.note_writer(1);
    reader.shared.region.store(Word::WriterPid, 1, Ordering::SeqCst);
    assert_eq!((read(&mut reader), read(&mut reader), number), (1, 3, 3));
}

#[test]
fn one_that_leaves_while_its_kind_is_asked_is_not_taken_for_a_legacy_one() {
    let mut reader = reader("left");
    reader.watch.native = true;
    // It was in the word a moment ago.
    reader.watch.changed(&reader.shared, 12_345);
    assert!(reader.watch.native && !reader.watch.is_attached() && reader.watch.last == 0);
}

#[test]
fn one_that_is_judged_while_it_leaves_stays_a_native_one() {
    let mut reader = reader("leaving");
    let _writer = attach(&reader);
    reader.watch.refresh(&reader.shared);
    assert!(reader.watch.has_native_writer());
    // A leaving writer takes its note away before its lock. Another one that tries to attach holds
    // the claim, so the lock proves nothing either.
    reader.shared.data.forget_writer();
    reader.shared.present_writer.store(0, Ordering::Relaxed);
    let file = File::open(format!("/dev/shm/{}", reader.name())).unwrap();
    let contender = Presence::of(&file).unwrap();
    assert!(contender.try_lock(Role::Claim).unwrap());
    assert!(!reader.watch.is_dead(&reader.shared, Duration::ZERO), "it holds its lock");
    assert!(reader.watch.has_native_writer());
}
