//! What futures do, under every executor.

use super::{
    LONG,
    common::{LESS, Name, Peer, check, content, expect_error, size_of},
    executor::{ALL, assert_within},
    pair,
};
use std::{
    io::IoSlice,
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, FullRingPolicy, Outcome, Reader, Writer, WriterConfig};

const COUNT: u64 = 3000 / LESS;
const MAX: u64 = 900;

async fn write_all(writer: &mut Writer) {
    for key in 1..=COUNT {
        let data = content(key, size_of(7, key, MAX));
        let outcome = match key % 3 {
            0 => writer.write_async(&data).await,
            1 => {
                let (one, two) = data.split_at(data.len() / 2);
                writer.write_vectored_async(&[IoSlice::new(one), IoSlice::new(two)]).await
            }
            _ => {
                let mut loan = writer.loan_async(data.len()).await.unwrap();
                loan.copy_from_slice(&data);
                loan.commit()
            }
        };
        assert_eq!(outcome.unwrap().sequence(), Some(key));
    }
}

async fn read_all(reader: &mut Reader) {
    for key in 1..=COUNT {
        let frame = reader.read_async().await.unwrap();
        assert_eq!((frame.sequence(), frame.len()), (key, size_of(7, key, MAX)));
        check(frame.data(), key).unwrap();
    }
}

#[test]
fn both_ends_in_one_process_in_any_mixture() {
    for executor in ALL {
        let name = Name::new("async-both");
        let (mut reader, mut writer) = pair(&name, 2048);
        let writing = thread::spawn(move || {
            executor.block_on(async move {
                write_all(&mut writer).await;
                writer
            })
        });
        let mut reader = executor.block_on(async move {
            read_all(&mut reader).await;
            reader
        });
        let mut writer = writing.join().unwrap();
        // One end blocks.
        let writing = thread::spawn(move || {
            for key in COUNT + 1..=2 * COUNT {
                writer.write(&content(key, 300)).unwrap();
            }
            writer
        });
        let mut reader = executor.block_on(async move {
            for key in COUNT + 1..=2 * COUNT {
                assert_eq!(reader.read_async().await.unwrap().sequence(), key);
            }
            reader
        });
        let mut writer = writing.join().unwrap();
        let reading = thread::spawn(move || {
            for key in 2 * COUNT + 1..=3 * COUNT {
                assert_eq!(reader.read().unwrap().sequence(), key);
            }
        });
        executor.block_on(async move {
            for key in 2 * COUNT + 1..=3 * COUNT {
                writer.write_async(&content(key, 300)).await.unwrap();
            }
        });
        reading.join().unwrap();
    }
}

#[test]
fn a_stream_from_another_process_and_its_end() {
    for executor in ALL {
        let name = Name::new("async-process");
        let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
        let mut writing = Peer::native();
        let waits = thread::spawn(move || {
            executor.block_on(async move {
                reader.wait_for_writer_async().await.unwrap();
                read_all(&mut reader).await;
                let end = reader.read_async().await;
                expect_error(end, "WriterGone");
                reader
            })
        });
        writing.must(&format!("connect {} 0", &*name));
        writing.must(&format!("stream 1 {COUNT} 7 {MAX} mix"));
        writing.must("close");
        drop(waits.join().unwrap());
    }
}

#[test]
fn a_stream_of_the_old_package() {
    let name = Name::new("async-old");
    let Some(mut old) = Peer::old() else { return };
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
    let reading = thread::spawn(move || {
        pollster::block_on(async move {
            reader.wait_for_writer_async().await.unwrap();
            for key in 1..=100 {
                let frame = reader.read_async().await.unwrap();
                assert_eq!(frame.sequence(), key);
                check(frame.data(), key).unwrap();
            }
            expect_error(reader.read_async().await, "WriterGone");
        });
    });
    old.must(&format!("connect {} 0", &*name));
    old.must(&format!("stream 1 100 7 {MAX} write"));
    old.must("close");
    reading.join().unwrap();
}

#[test]
fn a_writer_waits_for_its_reader() {
    for executor in ALL {
        let name = Name::new("async-connect");
        let soon = WriterConfig::default().connect_timeout(Duration::from_millis(50));
        let missing = {
            let name = name.to_string();
            executor.block_on(async move { Writer::connect_with_async(&name, soon).await })
        };
        expect_error(missing, "NotFound");
        let later = {
            let name = name.to_string();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(30));
                Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap()
            })
        };
        let patient = WriterConfig::default().connect_timeout(LONG);
        let own = name.to_string();
        let writer = executor.block_on(async move { Writer::connect_with_async(&own, patient).await });
        assert!(writer.unwrap().is_reader_connected());
        drop(later.join().unwrap());
    }
}

#[test]
fn a_full_ring_is_met_as_the_policy_says() {
    for executor in ALL {
        for policy in [FullRingPolicy::Block, FullRingPolicy::Refuse, FullRingPolicy::DropNewest] {
            let name = Name::new("async-full");
            let _reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
            let timeout = Duration::from_millis(80);
            let config = WriterConfig::default().full_ring(policy).write_timeout(timeout);
            let mut writer = Writer::connect_with(&name, config).unwrap();
            executor.block_on(async move {
                writer.write_async(&[1; 1000]).await.unwrap();
                let started = Instant::now();
                let outcome = writer.write_async(&[2; 1000]).await;
                let loaned = writer.loan_async(1000).await.map(|loan| loan.commit().unwrap());
                if policy == FullRingPolicy::DropNewest {
                    assert_eq!((outcome.unwrap(), loaned.unwrap()), (Outcome::Dropped, Outcome::Dropped));
                    assert_eq!(writer.stats().dropped, 2);
                } else {
                    expect_error(outcome, "Full");
                    expect_error(loaned, "Full");
                    let waited = started.elapsed();
                    assert_eq!(waited >= timeout * 2, policy == FullRingPolicy::Block, "{waited:?}");
                    assert_eq!(writer.stats().waits > 0, policy == FullRingPolicy::Block);
                }
                expect_error(writer.write_async(&[]).await, "EmptyFrame");
                expect_error(writer.write_async(&[0; 2000]).await, "FrameTooLarge");
            });
        }
    }
}

#[test]
fn the_newest_frame_and_all_of_them() {
    for executor in ALL {
        let name = Name::new("async-newest");
        let (mut reader, mut writer) = pair(&name, 4096);
        executor.block_on(async move {
            for key in 1..=5_u64 {
                writer.write_async(&content(key, 100)).await.unwrap();
            }
            let newest = reader.latest_async().await.unwrap();
            assert_eq!((newest.frame.sequence(), newest.skipped), (5, 4));
            drop(newest);
            for key in 6..=10_u64 {
                writer.write_async(&content(key, 100)).await.unwrap();
            }
            writer.close().unwrap();
            let mut frames = reader.stream();
            let mut expected = 6;
            while let Some(frame) = smol::stream::StreamExt::next(&mut frames).await {
                assert_eq!(frame.unwrap().sequence(), expected);
                expected += 1;
            }
            assert_eq!(expected, 11);
        });
    }
}

/// An interrupt, the end of the other end, and its death.
#[test]
fn whatever_ends_a_blocked_call_ends_a_pending_one() {
    for executor in ALL {
        let name = Name::new("async-ends");
        let (mut reader, mut writer) = pair(&name, 1024);
        let (reading, writing) = (reader.handle(), writer.handle());
        let interrupt = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            reading.interrupt();
            thread::sleep(Duration::from_millis(50));
            writing.interrupt();
        });
        let (reader, mut writer) = executor.block_on(async move {
            expect_error(reader.read_async().await, "Closed");
            expect_error(reader.wait_for_writer_async().await, "Closed");
            writer.write_async(&[1; 1000]).await.unwrap();
            expect_error(writer.write_async(&[1; 1000]).await, "Closed");
            (reader, writer)
        });
        interrupt.join().unwrap();
        writer.handle().resume();
        let close = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            reader.close().unwrap();
        });
        executor.block_on(async move {
            expect_error(writer.write_async(&[1; 1000]).await, "ReaderGone");
        });
        close.join().unwrap();
    }
}

#[test]
fn the_death_of_the_other_end_is_noticed_within_two_slices() {
    let name = Name::new("async-kill");
    assert_within(Duration::from_millis(100), 5, "a killed writer", || {
        let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
        let mut writing = Peer::native();
        writing.must(&format!("connect {} 0", &*name));
        writing.must("write 1 10 write");
        let waits = thread::spawn(move || {
            pollster::block_on(async {
                assert_eq!(reader.read_async().await.unwrap().sequence(), 1);
                expect_error(reader.read_async().await, "WriterGone");
                assert!(reader.writer_died());
            });
            Instant::now()
        });
        thread::sleep(Duration::from_millis(170));
        writing.kill();
        let killed = Instant::now();
        waits.join().unwrap().saturating_duration_since(killed)
    });
    assert_within(Duration::from_millis(150), 5, "a killed reader", || {
        let mut reading = Peer::native();
        reading.must(&format!("create {} 64 1024", &*name));
        let mut writer = Writer::connect(&name).unwrap();
        let waits = thread::spawn(move || {
            pollster::block_on(async {
                writer.set_write_timeout(None);
                writer.write_async(&[1; 1000]).await.unwrap();
                expect_error(writer.write_async(&[1; 1000]).await, "ReaderGone");
            });
            Instant::now()
        });
        thread::sleep(Duration::from_millis(170));
        reading.kill();
        let killed = Instant::now();
        waits.join().unwrap().saturating_duration_since(killed)
    });
}

/// A frame that has come is there at once; one that comes wakes, rather than being found by a look
/// in slices.
#[test]
fn a_round_trip_takes_no_slice() {
    for executor in ALL {
        let (there, back) = (Name::new("async-there"), Name::new("async-back"));
        let (mut requests, mut asking) = pair(&there, 4096);
        let (mut answers, mut answering) = pair(&back, 4096);
        let rounds = 100 / u32::try_from(LESS).unwrap();
        let serving = thread::spawn(move || {
            executor.block_on(async move {
                while let Ok(request) = requests.read_async().await {
                    answering.write_async(&request).await.unwrap();
                }
            });
        });
        let time = executor.block_on(async move {
            let started = Instant::now();
            for key in 1..=rounds.into() {
                asking.write_async(&content(key, 64)).await.unwrap();
                check(&answers.read_async().await.unwrap(), key).unwrap();
            }
            let time = started.elapsed();
            asking.close().unwrap();
            time
        });
        serving.join().unwrap();
        assert!(time < Duration::from_millis(20) * rounds, "{executor:?}: {rounds} in {time:?}");
    }
}

/// A stream that the reader does not have to wait for: futures beside blocked calls, in turns.
#[test]
fn a_saturated_stream_is_about_as_fast_as_a_blocked_one() {
    const FRAMES: u64 = 200_000 / LESS;
    let rate = |is_async: bool| {
        let name = Name::new("async-rate");
        let (mut reader, mut writer) = pair(&name, 1 << 20);
        let writing = thread::spawn(move || {
            let data = [7; 64];
            for _ in 0..FRAMES {
                writer.write(&data).unwrap();
            }
            writer
        });
        let started = Instant::now();
        if is_async {
            pollster::block_on(async {
                for _ in 0..FRAMES {
                    drop(reader.read_async().await.unwrap());
                }
            });
        } else {
            for _ in 0..FRAMES {
                drop(reader.read().unwrap());
            }
        }
        let time = started.elapsed();
        drop(writing.join().unwrap());
        f64::from(u32::try_from(FRAMES).unwrap()) / time.as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..9).map(|_| rate(true) / rate(false)).collect();
    ratios.sort_by(f64::total_cmp);
    println!("saturated, futures over blocked calls: {ratios:.2?}");
    // Others use the processors too.
    assert!(ratios[ratios.len() - 1] > 0.5, "{ratios:?}");
}
