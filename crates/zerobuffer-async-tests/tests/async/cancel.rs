//! Futures that are dropped at any point: nothing is lost, nothing is doubled.

use super::{
    common::{Name, check, content, size_of},
    pair,
};
use std::{
    env, mem,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use zerobuffer::{Reader, Writer};

const MAX: u64 = 500;

/// So many cancellations; more by the environment variable `ZEROBUFFER_TEST_CANCELLATIONS`.
fn cancellations() -> u64 {
    env::var("ZEROBUFFER_TEST_CANCELLATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(4000)
}

/// Of Marsaglia: the test needs variety, not quality.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Polls so many times, by nobody's waker, and drops the future unless it was ready.
fn poll_some<F: Future>(future: F, times: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

async fn read_cancelled(mut reader: Reader, count: u64) -> u64 {
    let (mut random, mut cancelled) = (Random(7), 0);
    for key in 1..=count {
        let frame = loop {
            let read = match random.below(8) {
                0 => Some(reader.read_async().await),
                1..=3 => {
                    let moment = Duration::from_micros(random.below(300));
                    tokio::time::timeout(moment, reader.read_async()).await.ok()
                }
                4 => {
                    // Leaked while it waits.
                    let mut future = Box::pin(reader.read_async());
                    let mut context = Context::from_waker(Waker::noop());
                    let polled = future.as_mut().poll(&mut context);
                    mem::forget(future);
                    match polled {
                        Poll::Ready(read) => Some(read),
                        Poll::Pending => None,
                    }
                }
                5 => reader.try_read().transpose(),
                6 => tokio::select! {
                    biased;
                    latest = reader.read_async() => Some(latest),
                    () = tokio::task::yield_now() => None,
                },
                _ => poll_some(reader.read_async(), random.below(4)),
            };
            match read {
                Some(read) => break read.unwrap(),
                None => cancelled += 1,
            }
        };
        assert_eq!((frame.sequence(), frame.len()), (key, size_of(3, key, MAX)));
        check(&frame, key).unwrap();
    }
    cancelled
}

async fn write_cancelled(mut writer: Writer, count: u64) -> u64 {
    let (mut random, mut cancelled) = (Random(77), 0);
    writer.set_write_timeout(None);
    for key in 1..=count {
        let data = content(key, size_of(3, key, MAX));
        let outcome = loop {
            let written = match random.below(5) {
                0 => Some(writer.write_async(&data).await),
                1..=2 => {
                    let moment = Duration::from_micros(random.below(300));
                    tokio::time::timeout(moment, writer.write_async(&data)).await.ok()
                }
                3 => poll_some(writer.loan_async(data.len()), random.below(4)).map(|loan| {
                    let mut loan = loan.unwrap();
                    loan.copy_from_slice(&data);
                    loan.commit()
                }),
                _ => poll_some(writer.write_async(&data), random.below(4)),
            };
            match written {
                Some(written) => break written.unwrap(),
                None => cancelled += 1,
            }
        };
        assert_eq!(outcome.sequence(), Some(key));
    }
    cancelled
}

#[test]
fn nothing_is_lost_or_doubled_by_futures_that_are_dropped_at_any_point() {
    let wanted = cancellations();
    let (mut cancelled, mut frames) = (0, 0);
    while cancelled < wanted {
        let count = 2000.min(wanted);
        let name = Name::new("async-cancel");
        let (reader, writer) = pair(&name, 2048);
        let run = |future| {
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on::<std::pin::Pin<Box<dyn Future<Output = u64> + Send>>>(future)
            }
        };
        let writing = thread::spawn(run(Box::pin(write_cancelled(writer, count))));
        let reading = thread::spawn(run(Box::pin(read_cancelled(reader, count))));
        cancelled += writing.join().unwrap() + reading.join().unwrap();
        frames += count;
    }
    println!("{cancelled} futures were dropped over {frames} frames");
}

#[test]
fn a_connection_that_is_given_up_leaves_no_writer() {
    let name = Name::new("async-given-up");
    let config = zerobuffer::WriterConfig::default().connect_timeout(None);
    assert!(poll_some(Writer::connect_with_async(&name, config), 3).is_none());
    thread::sleep(Duration::from_millis(200));
    let reader = Reader::create(&name, zerobuffer::BufferConfig::ring(1024).metadata(0)).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(!reader.is_writer_connected());
    Writer::connect(&name).unwrap();
}
