//! Wakers that call the library when they are woken, and when they are dropped: an executor may do
//! so.

use super::{
    LONG,
    common::content,
    duplex::{Channel, small},
    pair,
};
use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig,
    duplex::{Client, Responder, Server, ServerConfig},
};

/// Does something when it is woken and when it is dropped.
struct Calling {
    act: Box<dyn Fn() + Send + Sync>,
    done: Arc<AtomicU32>,
}

impl Calling {
    fn waker(done: &Arc<AtomicU32>, act: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Self { act: Box::new(act), done: Arc::clone(done) }))
    }
}

impl Wake for Calling {
    fn wake(self: Arc<Self>) {
        (self.act)();
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        (self.act)();
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls once by a waker that nobody else has then.
#[allow(clippy::needless_pass_by_value, reason = "the caller keeps none")]
fn poll_by<F: Future + ?Sized>(future: Pin<&mut F>, waker: Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&waker))
}

/// At least so many of them have been dropped; one that is just woken, a moment later.
#[track_caller]
fn reaches(done: &AtomicU32, count: u32) {
    let started = Instant::now();
    while done.load(Ordering::Relaxed) < count && started.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(2));
    }
    assert!(done.load(Ordering::Relaxed) >= count);
}

/// Runs a test whose failure is that it never ends.
fn ends(test: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let running = thread::spawn(move || {
        test();
        ended.send(()).unwrap();
    });
    let end = end.recv_timeout(Duration::from_secs(20));
    assert!(
        end != Err(mpsc::RecvTimeoutError::Timeout),
        "a waker that calls the library waits for a lock that its caller has"
    );
    running.join().unwrap();
}

/// A server whose handlers wait until the gate is dropped.
fn gated(channel: &Channel) -> (Server, mpsc::Sender<()>) {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let config = ServerConfig::default().buffer(BufferConfig::ring(16 * 1024));
    let server = Server::new(&channel.name, config);
    server
        .start(move |request, mut response| {
            // Until the other end is dropped.
            let _ = gate.lock().unwrap().recv();
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    (server, open)
}

#[test]
fn of_a_call_that_waits_for_its_response() {
    ends(|| {
        let channel = Channel::new("async-calling");
        let (server, open) = gated(&channel);
        let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
        let done = Arc::new(AtomicU32::new(0));
        let calling = || {
            let client = Arc::clone(&client);
            Calling::waker(&done, move || {
                drop(client.submit(b"by a waker").unwrap());
                let _ = client.receive(Duration::ZERO);
            })
        };
        let call = client.submit(b"question").unwrap();
        let given_up = client.submit(b"given up").unwrap();
        let mut waiting = Box::pin(call.wait_async());
        assert!(poll_by(waiting.as_mut(), calling()).is_pending());
        assert!(poll_by(waiting.as_mut(), calling()).is_pending());
        reaches(&done, 1);
        assert!(poll_by(pin!(given_up.wait_async()), calling()).is_pending());
        drop(given_up);
        reaches(&done, 2);
        drop(open);
        assert_eq!(pollster::block_on(waiting).unwrap().data(), b"question");
        reaches(&done, 3);
        let last = client.submit(b"until the end").unwrap();
        let _ = poll_by(pin!(last.wait_async()), calling());
        drop(last);
        assert!(server.drain(LONG));
    });
}

#[test]
fn of_a_request_that_waits_for_room() {
    ends(|| {
        let channel = Channel::new("async-calling-room");
        let (server, open) = gated(&channel);
        let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
        let filling = fill(&client);
        let done = Arc::new(AtomicU32::new(0));
        let calling = || {
            let client = Arc::clone(&client);
            Calling::waker(&done, move || {
                let mut no_time = zerobuffer::Patience::at_most(Duration::ZERO);
                let _ = client.submit_with(&content(2, 1000), &mut no_time);
            })
        };
        let request = content(3, 1000);
        let mut sending = Box::pin(client.submit_async(&request));
        assert!(poll_by(sending.as_mut(), calling()).is_pending());
        assert!(poll_by(sending.as_mut(), calling()).is_pending());
        reaches(&done, 1);
        let other = content(4, 1000);
        let mut given_up = Box::pin(client.submit_async(&other));
        assert!(poll_by(given_up.as_mut(), calling()).is_pending());
        drop(given_up);
        reaches(&done, 2);
        drop(open);
        let call = pollster::block_on(sending).unwrap();
        assert_eq!(call.wait(LONG).unwrap().unwrap().data(), request);
        drop(filling);
        assert!(server.drain(LONG));
    });
}

#[test]
fn of_a_response_that_waits_for_its_turn() {
    ends(|| {
        let channel = Channel::new("async-calling-turn");
        let (hand, responders) = mpsc::channel::<Responder>();
        let hand = Mutex::new(hand);
        let server = Server::new(&channel.name, ServerConfig::default().on_error(|_| {}));
        server
            .start(move |_request, responder| {
                hand.lock().unwrap().send(responder).map_err(|_| "the test is over")?;
                Ok(())
            })
            .unwrap();
        let client = Client::connect_with(&channel.name, small()).unwrap();
        let calls: Vec<_> = (0..5).map(|_| client.submit(b"question").unwrap()).collect();
        let of = || Some(responders.recv_timeout(LONG).unwrap());
        let (mut first, mut second) = (of().unwrap(), of().unwrap());
        let done = Arc::new(AtomicU32::new(0));
        let giving_up = |responder: Option<Responder>| {
            let responder = Mutex::new(responder);
            // Its place is given up, which is a matter of the server's lock.
            Calling::waker(&done, move || drop(responder.lock().unwrap().take()))
        };
        let mut answer = Box::pin(second.write_async(b"second"));
        assert!(poll_by(answer.as_mut(), giving_up(of())).is_pending());
        assert!(poll_by(answer.as_mut(), giving_up(of())).is_pending());
        reaches(&done, 1);
        let mut fifth = of().unwrap();
        assert!(poll_by(pin!(fifth.write_async(b"never")), giving_up(None)).is_pending());
        drop(fifth);
        first.write(b"first").unwrap();
        pollster::block_on(answer).unwrap();
        let answers: Vec<_> =
            calls.iter().map(|call| call.wait(LONG).is_ok_and(|answer| answer.is_some())).collect();
        assert_eq!(answers, [true, true, false, false, false]);
        reaches(&done, 3);
        drop(client);
        assert!(server.stop());
    });
}

#[test]
fn of_a_read_and_of_a_write() {
    ends(|| {
        let name = super::common::Name::new("async-calling-ends");
        let (mut reader, mut writer) = pair(&name, 1024);
        let (of_reader, of_writer) = (reader.handle(), writer.handle());
        let done = Arc::new(AtomicU32::new(0));
        let calling = || {
            let (reading, written) = (of_reader.clone(), of_writer.clone());
            Calling::waker(&done, move || {
                let _ = (reading.is_writer_connected(), reading.metadata(), written.is_reader_connected());
            })
        };
        let mut reading = Box::pin(reader.read_async());
        assert!(poll_by(reading.as_mut(), calling()).is_pending());
        assert!(poll_by(reading.as_mut(), calling()).is_pending());
        writer.write(b"a frame").unwrap();
        let frame = pollster::block_on(reading).unwrap();
        assert!(poll_by(pin!(writer.write_async(&[0; 900])), calling()).is_ready());
        let mut writing = Box::pin(writer.write_async(&[0; 900]));
        assert!(poll_by(writing.as_mut(), calling()).is_pending());
        drop(writing);
        drop(frame);
        reaches(&done, 4);
    });
}

/// The others are woken all the same.
#[test]
fn that_panic_keep_no_other_from_being_woken() {
    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("as told");
        }
    }
    ends(|| {
        let channel = Channel::new("async-panicking-waker");
        let (server, open) = gated(&channel);
        let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
        let calls: Vec<_> = (0..4).map(|_| client.submit(b"question").unwrap()).collect();
        for call in &calls {
            let mut waiting = pin!(call.wait_async());
            assert!(poll_by(waiting.as_mut(), Waker::from(Arc::new(Panicking))).is_pending());
        }
        let other = Arc::clone(&client);
        let beside = thread::spawn(move || pollster::block_on(other.call_async(b"beside")).map(drop));
        thread::sleep(Duration::from_millis(100));
        drop(open);
        beside.join().unwrap().unwrap();
        drop(calls);
        assert!(server.drain(LONG));
    });
}

/// A blocked call takes the wait for room from the tasks that share it, and gives it back.
#[test]
fn a_task_is_woken_behind_a_blocked_call_that_waits_for_room() {
    ends(|| {
        let channel = Channel::new("async-room-blocked");
        let (server, open) = gated(&channel);
        let client = Arc::new(Client::connect_with(&channel.name, patient()).unwrap());
        let filling = fill(&client);
        let (tasks, callers) = (Arc::clone(&client), Arc::clone(&client));
        let task = thread::spawn(move || {
            pollster::block_on(tasks.submit_async(&content(3, 1000))).map(|call| call.wait(LONG))
        });
        thread::sleep(Duration::from_millis(100));
        let caller = thread::spawn(move || callers.submit(&content(4, 1000)).map(|call| call.wait(LONG)));
        thread::sleep(Duration::from_millis(100));
        assert!(!task.is_finished() && !caller.is_finished(), "there is no room for them");
        drop(open);
        for (key, sent) in [(3, task), (4, caller)] {
            let answer = sent.join().unwrap().unwrap().unwrap().unwrap();
            assert_eq!(answer.data(), content(key, 1000));
        }
        drop(filling);
        assert!(server.drain(LONG));
    });
}

/// A task whose time is over ends the wait that it shares with others.
#[test]
fn a_task_is_woken_when_another_gives_up_waiting_for_room() {
    ends(|| {
        let channel = Channel::new("async-room-shared");
        let (server, open) = gated(&channel);
        let timeout = Duration::from_secs(2);
        let config = patient().write_timeout(Some(timeout));
        let client = Arc::new(Client::connect_with(&channel.name, config).unwrap());
        let filling = fill(&client);
        let woken = Arc::new(AtomicU32::new(0));
        let waker = || Waker::from(Arc::new(Counting(Arc::clone(&woken))));
        let (early, late) = (content(3, 1000), content(4, 1000));
        let mut first = Box::pin(client.submit_async(&early));
        assert!(poll_by(first.as_mut(), Waker::noop().clone()).is_pending());
        let began = Instant::now();
        thread::sleep(timeout * 2 / 3);
        let mut second = Box::pin(client.submit_async(&late));
        assert!(poll_by(second.as_mut(), waker()).is_pending());
        while began.elapsed() < timeout + Duration::from_millis(20) {
            thread::sleep(Duration::from_millis(5));
        }
        // It looks, and waits on; the other looks, and its time is over.
        assert!(poll_by(second.as_mut(), waker()).is_pending());
        let before = woken.load(Ordering::SeqCst);
        assert!(matches!(poll_by(first.as_mut(), Waker::noop().clone()), Poll::Ready(Err(_))));
        assert!(woken.load(Ordering::SeqCst) > before, "nobody waits for it any more, and it is not told");
        drop((second, first));
        drop(open);
        drop(filling);
        assert!(server.drain(LONG));
    });
}

/// Counts how often it is woken.
struct Counting(Arc<AtomicU32>);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits for room as long as it takes.
fn patient() -> zerobuffer::duplex::ClientConfig {
    small().write_timeout(None)
}

/// Fills the request ring, whose server does not go on; the requests that it holds.
fn fill(client: &Client) -> Vec<zerobuffer::duplex::Call> {
    let mut filling = Vec::new();
    while let Poll::Ready(call) = poll_by(pin!(client.submit_async(&content(1, 1000))), Waker::noop().clone())
    {
        filling.push(call.unwrap());
    }
    // The server has begun by then, and nothing moves any more.
    thread::sleep(Duration::from_millis(200));
    filling
}
