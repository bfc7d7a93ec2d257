//! A forked child of a process that serves and asks: nothing hangs there, nothing of the parent's
//! is touched.

use crate::{Channel, LONG};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use zerobuffer::duplex::{Server, ServerConfig};

/// Runs `child` in a forked child and returns its exit code; `None`: it was still running after 10
/// s.
fn forked(child: impl FnOnce() -> i32) -> Option<i32> {
    // SAFETY: the child calls what the test is about, and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = child();
        // SAFETY: ends the child at once, without what the parent has registered for its own end.
        unsafe { libc::_exit(code) };
    }
    let started = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: the child made above, which nobody else waits for.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
            return libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        }
        if started.elapsed() > Duration::from_secs(10) {
            // SAFETY: as above.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The locks of server and client are held most of the time when the process forks.
#[test]
fn a_child_of_a_busy_server_and_client_ends() {
    let channel = Channel::new("dfork");
    let server = Server::new(&channel.name, ServerConfig::default());
    server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?)).unwrap();
    let client = channel.connect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (over, server, client) = (&over, &server, &client);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match thread {
                        0 => drop(client.call(b"x", LONG).unwrap()),
                        1 => assert!(client.with_pending(|_| ()).is_none() && client.keep_alive().is_some()),
                        2 => assert!(server.request_buffer().is_some()),
                        _ => assert!(server.is_running()),
                    }
                }
            });
        }
        for round in 0..40 {
            let code = forked(|| {
                let gone = server.stop()
                    && server.drain(LONG)
                    && server.begin_drain()
                    && server.wait(Some(LONG))
                    && !server.is_running()
                    && server.request_buffer().is_none()
                    && matches!(server.start(|_, _| Ok(())), Err(zerobuffer::Error::Forked { .. }));
                let refused = client.send(b"x").is_err()
                    && client.receive(LONG).is_err()
                    && client.with_pending(|_| ()).is_none()
                    && client.keep_alive().is_none()
                    && !client.abort()
                    && !client.is_server_connected()
                    && client.close().is_ok();
                i32::from(!gone) + 2 * i32::from(!refused)
            });
            assert_eq!(code, Some(0), "round {round}: `None` hung, 1 is the server, 2 the client");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(client.call(b"still served", LONG).unwrap().data(), b"still served");
}

/// A child that inherits a handler in the middle of its work, and a call that waits for it.
#[test]
fn what_a_child_inherits_of_a_request_is_dropped_without_a_word() {
    let channel = Channel::new("dforkh");
    let server = Server::new(&channel.name, ServerConfig::default());
    server
        .start(move |request, mut response| {
            for _ in 0..20 {
                let code = forked(|| i32::from(response.write(request.data()).is_ok()));
                assert_eq!(code, Some(0));
            }
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let client = channel.connect();
    assert_eq!(client.call(b"x", LONG).unwrap().data(), b"x");
    let call = client.submit(b"y").unwrap();
    let code = forked(move || {
        let refused = matches!(call.wait(LONG), Err(zerobuffer::Error::Forked { .. }));
        drop(call);
        i32::from(!refused)
    });
    assert_eq!(code, Some(0));
    assert_eq!(client.call(b"z", LONG).unwrap().data(), b"z");
}
