//! What bindings build on: polls that one task makes for all calls of a client.

use super::{
    LONG,
    common::{content, expect_error},
    duplex::{Channel, server_config, small},
};
use std::{
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{self, Sender},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use zerobuffer::{
    Error,
    duplex::{Client, HandlerError, Server},
};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell {
    rung: Mutex<u32>,
    rings: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() += 1;
        self.rings.notify_all();
    }
}

/// One task: polls only when it was woken, as bindings do.
struct Task {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Task {
    fn new() -> Self {
        let bell = Arc::new(Bell::default());
        Self { waker: Arc::clone(&bell).into(), bell }
    }

    fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Polls until it is ready. A wake-up that does not come fails the test.
    #[track_caller]
    fn until_ready<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        loop {
            let before = *self.bell.rung.lock().unwrap();
            if let Poll::Ready(result) = self.poll(&mut poll) {
                return result;
            }
            let rung = self.bell.rung.lock().unwrap();
            let waited = self.bell.rings.wait_timeout_while(rung, LONG, |rung| *rung == before);
            assert!(!waited.unwrap().1.timed_out(), "nothing wakes the task");
        }
    }
}

/// A server that answers with what it is sent, one request for each word of the sender.
fn gated(channel: &Channel) -> (Server, Sender<()>) {
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let server = Server::new(&channel.name, server_config());
    let echo = move |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| {
        gate.lock().unwrap().recv()?;
        Ok(response.write(&request).map(drop)?)
    };
    server.start(echo).unwrap();
    (server, go)
}

#[test]
fn requests_wait_for_room_and_go_out_in_their_order() {
    const ALL: u64 = 30;
    let channel = Channel::new("binding-submit");
    let (server, go) = gated(&channel);
    let client = Client::connect_with(&channel.name, small()).unwrap();
    let task = Task::new();
    let mut calls = Vec::new();
    let submit = |context: &mut Context<'_>, key| client.poll_submit(context, &content(key, 1500));
    while let Poll::Ready(call) = task.poll(|context| submit(context, calls.len() as u64)) {
        calls.push(call.unwrap());
    }
    assert!((5..ALL).contains(&(calls.len() as u64)), "{} requests fit", calls.len());
    assert!(task.poll(|context| submit(context, calls.len() as u64)).is_pending());
    for _ in 0..ALL {
        go.send(()).unwrap();
    }
    for key in calls.len() as u64..ALL {
        calls.push(task.until_ready(|context| submit(context, key)).unwrap());
    }
    for (key, call) in calls.iter().enumerate() {
        let response = call.wait(LONG).unwrap().expect("the server answers");
        assert_eq!(response.data(), content(key as u64, 1500));
        assert_eq!(response.sequence(), call.sequence());
    }
    assert!(calls.is_sorted_by_key(zerobuffer::duplex::Call::sequence));
    assert!(server.drain(LONG));
}

#[test]
fn responses_to_sent_requests_wake_the_task_and_so_does_the_end() {
    let channel = Channel::new("binding-receive");
    let server = Server::new(&channel.name, server_config());
    let echo = |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| {
        if request[..] == content(13, 900) {
            return Err(HandlerError::new("unlucky", "thirteen").into());
        }
        Ok(response.write(&request).map(drop)?)
    };
    server.start(echo).unwrap();
    let client = Client::connect_with(&channel.name, small()).unwrap();
    let task = Task::new();
    assert!(task.poll(|context| client.poll_receive(context)).is_pending());
    for key in 1..=50 {
        let sent = task.until_ready(|context| client.poll_send(context, &content(key, 900))).unwrap();
        let received = task.until_ready(|context| client.poll_receive(context));
        if key == 13 {
            assert!(matches!(received, Err(Error::Remote { .. })), "{received:?}");
            continue;
        }
        let response = received.unwrap();
        assert_eq!((response.sequence(), response.data()), (sent, &*content(key, 900)));
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            server.stop();
        });
        expect_error(task.until_ready(|context| client.poll_receive(context)), "ServerGone");
    });
    expect_error(task.until_ready(|context| client.poll_submit(context, b"late")), "ServerGone");
    expect_error(task.until_ready(|context| client.poll_send(context, b"late")), "ServerGone");
}

#[test]
fn what_cannot_be_sent_is_an_error_at_once_and_nothing_is_sent() {
    let channel = Channel::new("binding-wrong");
    let (server, go) = gated(&channel);
    let client = Client::connect_with(&channel.name, small()).unwrap();
    let task = Task::new();
    for wrong in [vec![0; 64 * 1024], Vec::new()] {
        assert!(matches!(task.poll(|context| client.poll_submit(context, &wrong)), Poll::Ready(Err(_))));
        assert!(matches!(task.poll(|context| client.poll_send(context, &wrong)), Poll::Ready(Err(_))));
    }
    let loan = client.loan(10).unwrap();
    let pending = |polled: Poll<_>| matches!(polled, Poll::Ready(Err(Error::RequestPending { .. })));
    assert!(pending(task.poll(|context| client.poll_submit(context, b"x")).map(|sent| sent.map(drop))));
    assert!(pending(task.poll(|context| client.poll_send(context, b"x")).map(|sent| sent.map(drop))));
    drop(loan);
    go.send(()).unwrap();
    let call = task.until_ready(|context| client.poll_submit(context, b"right")).unwrap();
    assert_eq!(call.wait(LONG).unwrap().unwrap().data(), b"right");
    assert_eq!(server.request_buffer().unwrap().stats().frames, 1);
    // A call that is waited for elsewhere, and a task that receives, end with the client.
    let unanswered = client.submit(b"never answered").unwrap();
    assert!(task.poll(|context| client.poll_receive(context)).is_pending());
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            client.close().unwrap();
        });
        expect_error(task.until_ready(|context| client.poll_receive(context)), "Closed");
    });
    expect_error(unanswered.wait(LONG), "Closed");
    expect_error(task.until_ready(|context| client.poll_submit(context, b"late")), "Closed");
    expect_error(task.until_ready(|context| client.poll_send(context, b"late")), "Closed");
    drop(go);
}
