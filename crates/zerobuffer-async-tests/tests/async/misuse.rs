//! Futures that are leaked, moved, polled too often, and mixed with blocking calls.

use super::{
    common::{Name, expect_error},
    pair,
};
use std::{
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_future_may_be_moved_to_another_executor_while_it_waits() {
    let name = Name::new("async-moved");
    let (mut reader, mut writer) = pair(&name, 1024);
    thread::scope(|scope| {
        let mut future = Box::pin(reader.read_async());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let poll = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
            assert!(poll.await.is_pending());
        });
        drop(runtime);
        let moved = scope.spawn(|| pollster::block_on(future).map(|frame| frame.sequence()));
        thread::sleep(Duration::from_millis(30));
        writer.write(b"for the second one").unwrap();
        assert_eq!(moved.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn polling_after_the_end_is_an_error_or_reads_on() {
    let name = Name::new("async-over");
    let (mut reader, mut writer) = pair(&name, 1024);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut future = pin!(writer.write_async(b"once"));
        assert!(future.as_mut().poll(&mut context).is_ready());
        for _ in 0..3 {
            let Poll::Ready(again) = future.as_mut().poll(&mut context) else { panic!("it waits") };
            expect_error(again, "NothingPending");
        }
    }
    {
        let mut future = pin!(writer.loan_async(4));
        let Poll::Ready(loan) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        loan.unwrap().commit().unwrap();
        let Poll::Ready(again) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        expect_error(again.map(drop), "NothingPending");
    }
    let mut future = pin!(reader.read_async());
    for expected in [1, 2] {
        let Poll::Ready(read) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        assert_eq!(read.unwrap().sequence(), expected);
    }
    assert!(future.as_mut().poll(&mut context).is_pending());
}

/// Neither the leaked future nor the thread that waits for it takes a blocked call's wake-ups.
#[test]
fn blocking_calls_behind_futures_are_woken() {
    let name = Name::new("async-mixed");
    let (mut reader, mut writer) = pair(&name, 1024);
    let rounds = 60;
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..rounds {
                thread::sleep(Duration::from_millis(3));
                writer.write(b"frame").unwrap();
            }
        });
        for round in 0..rounds {
            let mut future = Box::pin(reader.read_async());
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            match (polled, round % 2) {
                (Poll::Ready(read), _) => drop(read.unwrap()),
                (Poll::Pending, 0) => {
                    mem::forget(future);
                    drop(reader.read().unwrap());
                }
                (Poll::Pending, _) => drop(pollster::block_on(future).unwrap()),
            }
        }
    });
    let time = started.elapsed();
    assert!(time < Duration::from_millis(25) * rounds, "{rounds} frames in {time:?}");
}

#[test]
fn an_endpoint_is_closed_while_its_future_is_leaked() {
    let name = Name::new("async-leaked");
    for _ in 0..20 {
        let (mut reader, mut writer) = pair(&name, 1024);
        writer.write(&[1; 1000]).unwrap();
        drop(reader.try_read().unwrap());
        writer.write(&[1; 1000]).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut pending = Box::pin(writer.write_async(&[2; 1000]));
        assert!(pending.as_mut().poll(&mut context).is_pending());
        mem::forget(pending);
        drop(reader.try_read().unwrap());
        let mut pending = Box::pin(reader.read_async());
        assert!(pending.as_mut().poll(&mut context).is_pending());
        mem::forget(pending);
        drop((reader, writer));
        name.assert_gone();
    }
}
