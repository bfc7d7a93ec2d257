//! A process that forks while its futures wait.

use super::{
    common::{Name, Peer, expect_error, process::reply},
    pair,
};
use std::{
    process::Command,
    task::{Context, Waker},
    thread,
    time::Duration,
};

const ROLE: &str = "ZEROBUFFER_TEST_FORKING";

#[test]
#[ignore = "entry point of helper processes, started by other tests"]
fn forking_entry() {
    let Ok(name) = std::env::var(ROLE) else { return };
    let (mut reader, mut writer) = pair(&name, 1024);
    let mut pending = Box::pin(reader.read_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(pending.as_mut().poll(&mut context).is_pending());
    // SAFETY: the child ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            expect_error(pollster::block_on(pending.as_mut()), "Forked");
            expect_error(pollster::block_on(writer.write_async(b"in the child")), "Forked");
            // Endpoints of its own have a waiting thread of their own.
            let (mut reader, mut writer) = pair(&format!("{name}-child"), 1024);
            let late = thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                writer.write(b"of its own").unwrap();
                writer
            });
            assert_eq!(pollster::block_on(reader.read_async()).unwrap().sequence(), 1);
            drop((late.join().unwrap(), reader));
        }));
        drop(pending);
        drop((reader, writer));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(wrong.is_err())) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child has failed");
    // What the child has dropped was not its to give up.
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        writer.write(b"of the parent").unwrap();
        writer
    });
    assert_eq!(pollster::block_on(pending).unwrap().sequence(), 1);
    drop(late.join().unwrap());
    reply("ok");
}

#[test]
fn a_child_has_a_waiting_thread_of_its_own() {
    for _ in 0..5 {
        let name = Name::new("async-fork");
        let _child = Name::of(&format!("{}-child", &*name));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fork::forking_entry", "--ignored", "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, &*name);
        let mut forking = Peer::start(command, "a process that forks");
        forking.must_reply();
    }
}
