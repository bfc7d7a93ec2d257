//! Descriptors in event loops, and several readers in one thread.

use super::{
    LONG,
    common::{Name, Peer, check, content, expect_error},
    pair,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Error, Reader, Select, wait_any};

#[cfg(target_os = "linux")]
mod descriptors {
    use super::*;
    use std::{os::fd::AsRawFd, sync::Mutex};
    use tokio::io::{Interest, unix::AsyncFd};
    use zerobuffer::{EventFd, Newest, WriterConfig};

    /// Level-triggered: readable within so much time.
    fn is_readable(event: &EventFd, timeout: Duration) -> bool {
        let mut poll = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout.as_millis().try_into().unwrap()) };
        ready == 1
    }

    const QUIET: Duration = Duration::from_millis(30);

    /// It may be readable for nothing, but not again and again.
    #[track_caller]
    fn assert_settles(event: &EventFd, what: &str, mut look: impl FnMut()) {
        assert!(
            (0..5).any(|_| {
                look();
                !is_readable(event, QUIET)
            }),
            "it stays readable: {what}"
        );
    }

    #[test]
    fn a_descriptor_is_readable_with_frames_and_with_the_end() {
        let name = Name::new("event-reader");
        let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
        let event = reader.event_fd().unwrap();
        assert!(is_readable(&event, QUIET), "the first look");
        assert_settles(&event, "nobody writes", || assert!(reader.try_read().unwrap().is_none()));
        let mut writing = Peer::native();
        writing.must(&format!("connect {} 0", &*name));
        for round in 0..20 {
            // A writer that comes is something to look at.
            assert_settles(&event, "all is read", || assert!(reader.try_read().unwrap().is_none()));
            writing.must(&format!("write {} 100 write", round * 2 + 1));
            writing.must(&format!("write {} 100 loan", round * 2 + 2));
            assert!(is_readable(&event, LONG));
            assert_eq!(reader.try_read().unwrap().unwrap().sequence(), round * 2 + 1);
            assert!(is_readable(&event, LONG), "the second frame is still there");
            assert_eq!(reader.try_read().unwrap().unwrap().sequence(), round * 2 + 2);
        }
        assert!(reader.try_read().unwrap().is_none());
        writing.kill();
        assert!(is_readable(&event, Duration::from_millis(900)), "the death of the writer");
        let started = Instant::now();
        while !matches!(reader.try_read(), Err(Error::WriterGone { .. })) {
            assert!(is_readable(&event, LONG) && started.elapsed() < LONG);
        }
        assert_settles(&event, "that it is dead was told", || {
            expect_error(reader.try_read(), "WriterGone");
        });
        let mut next = Peer::native();
        next.must(&format!("connect {} 0", &*name));
        next.must("write 41 100 write");
        let started = Instant::now();
        let frame = loop {
            assert!(is_readable(&event, LONG) && started.elapsed() < LONG);
            if let Ok(Some(frame)) = reader.try_read() {
                break frame;
            }
        };
        check(&frame, 41).unwrap();
        while reader.try_read().unwrap().is_some() {}
        reader.handle().interrupt();
        assert!(is_readable(&event, LONG), "an interrupt");
        expect_error(reader.try_read(), "Closed");
        assert!(is_readable(&event, QUIET), "it lasts");
    }

    #[test]
    fn a_descriptor_is_readable_with_room() {
        let name = Name::new("event-writer");
        let mut reading = Peer::native();
        reading.must(&format!("create {} 64 1024", &*name));
        let mut writer = zerobuffer::Writer::connect_with(&name, WriterConfig::default()).unwrap();
        let event = writer.event_fd().unwrap();
        for round in 0..20 {
            writer.try_write(&content(round + 1, 1000)).unwrap();
            assert_settles(&event, "the ring is full", || {
                expect_error(writer.try_write(&[2; 1000]), "Full");
            });
            reading.must(&format!("read 1000 {}", round + 1));
            assert!(is_readable(&event, LONG));
        }
        writer.try_write(&content(21, 1000)).unwrap();
        expect_error(writer.try_loan(1000).map(drop), "Full");
        reading.kill();
        assert!(is_readable(&event, Duration::from_millis(900)), "the death of the reader");
        let started = Instant::now();
        while !matches!(writer.try_write(&[2; 1000]), Err(Error::ReaderGone { .. })) {
            assert!(is_readable(&event, LONG) && started.elapsed() < LONG);
        }
    }

    #[test]
    fn a_program_signals_and_drains_a_descriptor_by_hand() {
        let name = Name::new("event-by-hand");
        let (mut reader, mut writer) = pair(&name, 4096);
        let event = reader.event_fd().unwrap();
        assert_settles(&event, "nothing is there", || assert!(reader.try_read().unwrap().is_none()));
        for _ in 0..3 {
            event.signal();
            event.signal();
            assert!(is_readable(&event, LONG));
            event.clone().drain();
            event.drain();
            assert!(!is_readable(&event, QUIET), "twice signalled, drained once");
        }
        // A thread that waits by itself takes the wake-ups, and gives them back by its signal.
        let reader = Mutex::new(reader);
        thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let first = reader.lock().unwrap().read_timeout(LONG).unwrap().unwrap();
                event.signal();
                first.sequence()
            });
            thread::sleep(QUIET);
            writer.write(b"one").unwrap();
            writer.write(b"two").unwrap();
            assert_eq!(reading.join().unwrap(), 1);
            assert!(is_readable(&event, LONG));
            let second = reader.lock().unwrap().try_read().unwrap().unwrap();
            assert_eq!(second.sequence(), 2);
        });
        let mut reader = reader.into_inner().unwrap();
        // What a look has armed is not taken away by a signal of others.
        assert_settles(&event, "all is read", || assert!(reader.try_read().unwrap().is_none()));
        writer.write(b"three").unwrap();
        assert!(is_readable(&event, LONG));
        drop(reader);
        event.signal();
        event.drain();
    }

    #[test]
    fn a_descriptor_is_readable_with_the_newest_frame_and_with_the_end() {
        let name = Name::new("event-newest");
        let mut newest = Newest::create(&name, BufferConfig::ring(16 * 1024).metadata(0)).unwrap();
        let event = newest.event_fd().unwrap();
        assert_eq!(newest.event_fd().unwrap().as_raw_fd(), event.as_raw_fd());
        assert!(is_readable(&event, QUIET), "the first look");
        assert_settles(&event, "nobody writes", || assert!(newest.try_read().unwrap().is_none()));
        let mut writing = Peer::native();
        writing.must(&format!("connect {} 0", &*name));
        let mut last = 0;
        for round in 0..20 {
            assert_settles(&event, "all is read", || assert!(newest.try_read().unwrap().is_none()));
            writing.must(&format!("write {} 100 write", round * 2 + 1));
            writing.must(&format!("write {} 100 loan", round * 2 + 2));
            while last < round * 2 + 2 {
                assert!(is_readable(&event, LONG));
                if let Some(frame) = newest.try_read().unwrap() {
                    assert_eq!(frame.sequence(), last + 1 + frame.skipped());
                    check(&frame, frame.sequence()).unwrap();
                    last = frame.sequence();
                }
            }
        }
        assert_settles(&event, "all is read", || assert!(newest.try_read().unwrap().is_none()));
        writing.kill();
        let started = Instant::now();
        loop {
            assert!(is_readable(&event, LONG) && started.elapsed() < LONG, "the death of the writer");
            match newest.try_read() {
                Ok(frame) => assert!(frame.is_none()),
                Err(Error::WriterGone { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_settles(&event, "that it is dead was told", || {
            expect_error(newest.try_read().map(drop), "WriterGone");
        });
        let mut next = Peer::native();
        next.must(&format!("connect {} 0", &*name));
        next.must("write 41 100 write");
        let frame = loop {
            assert!(is_readable(&event, LONG) && started.elapsed() < LONG);
            if let Ok(Some(frame)) = newest.try_read() {
                break frame;
            }
        };
        check(&frame, 41).unwrap();
        while newest.try_read().is_ok_and(|frame| frame.is_some()) {}
        newest.handle().interrupt();
        assert!(is_readable(&event, LONG), "an interrupt");
        expect_error(newest.try_read().map(drop), "Closed");
        assert!(is_readable(&event, QUIET), "it lasts");
    }

    #[test]
    fn tokio_waits_for_the_descriptor() {
        let name = Name::new("event-tokio");
        let (mut reader, mut writer) = pair(&name, 4096);
        let writing = thread::spawn(move || {
            for key in 1..=500 {
                writer.write(&content(key, 300)).unwrap();
                if key % 50 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let event = reader.event_fd().unwrap();
            // SAFETY: the descriptor is the same, and open, as long as the value lives.
            let event = unsafe { AsyncFd::register_with_interest(event, Interest::READABLE) }.unwrap();
            let mut expected = 1;
            loop {
                let mut ready = event.readable().await.unwrap();
                match reader.try_read() {
                    Ok(Some(frame)) => {
                        assert_eq!(frame.sequence(), expected);
                        check(&frame, expected).unwrap();
                        expected += 1;
                    }
                    Ok(None) => ready.clear_ready(),
                    Err(Error::WriterGone { .. }) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(expected, 501);
        });
        writing.join().unwrap();
    }
}

#[test]
fn one_thread_waits_for_several_readers() {
    const READERS: usize = 5;
    const COUNT: u64 = 200;
    let names: Vec<_> = (0..READERS).map(|_| Name::new("select")).collect();
    let (mut readers, writers): (Vec<_>, Vec<_>) = names.iter().map(|name| pair(name, 4096)).unzip();
    let mut refs: Vec<&mut Reader> = readers.iter_mut().collect();
    let started = Instant::now();
    assert!(wait_any(&mut refs, Duration::from_millis(60)).is_none());
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert!(wait_any(&mut [], LONG).is_none(), "nobody to wait for");
    thread::scope(|scope| {
        for (index, mut writer) in writers.into_iter().enumerate() {
            scope.spawn(move || {
                for key in 1..=COUNT {
                    writer.write(&content(key, 100)).unwrap();
                    if key % (10 + index as u64) == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let mut select = Select::new();
        let mut next = [1; READERS];
        let mut open: Vec<usize> = (0..READERS).collect();
        while !open.is_empty() {
            let mut refs: Vec<&mut Reader> =
                readers.iter_mut().enumerate().filter(|(at, _)| open.contains(at)).map(|(_, r)| r).collect();
            let (at, read) = select.wait(&mut refs, LONG).expect("they have not all ended");
            let which = open[at];
            match read {
                Ok(frame) => {
                    assert_eq!(frame.sequence(), next[which]);
                    next[which] += 1;
                }
                Err(Error::WriterGone { .. }) => {
                    open.remove(at);
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(next, [COUNT + 1; READERS]);
    });
}

#[test]
fn nobody_is_kept_from_his_turn() {
    let (busy, other) = (Name::new("select-busy"), Name::new("select-other"));
    let (mut busy_reader, mut busy_writer) = pair(&busy, 4096);
    let (mut other_reader, mut other_writer) = pair(&other, 4096);
    for key in 1..=10 {
        busy_writer.write(&content(key, 100)).unwrap();
    }
    other_writer.write(b"once").unwrap();
    let mut select = Select::new();
    let mut order = Vec::new();
    while let Some((which, frame)) = select.wait(&mut [&mut busy_reader, &mut other_reader], Duration::ZERO) {
        drop(frame.unwrap());
        order.push(which);
    }
    assert_eq!(order.iter().position(|&which| which == 1), Some(1), "{order:?}");
    assert_eq!(order.len(), 11);
}
