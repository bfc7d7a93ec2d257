//! Endpoints in a process that forks: the child neither destroys them, nor uses them, nor keeps
//! them "present".
// Other systems have no fork, or no locks that one inherits.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use common::{Name, Peer};

/// A forked child that stays alive; killed with the test.
struct Child(i32);

impl Child {
    /// From the reply to `fork`, and what follows the pid there.
    fn from(reply: &str) -> (Self, String) {
        let (pid, rest) = reply.split_once(' ').unwrap_or((reply, ""));
        (Self(pid.parse().unwrap()), rest.to_owned())
    }

    fn assert_alive(&self) {
        // SAFETY: signal 0 only asks.
        assert_eq!(unsafe { libc::kill(self.0, 0) }, 0, "the child is gone: the test has lost its point");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the pid is that of a child made by this test and not yet reaped by anyone else's
        // wait.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn a_child_does_not_keep_a_dead_parent_present() {
    // A plain fork, and a child that another program has taken over (descriptors that survive
    // exec).
    for how in ["fork idle", "fork use", "sleeper"] {
        let name = Name::new("fork");
        let (mut reader, mut writer) = (Peer::native(), Peer::native());
        reader.must(&format!("create {} 64 1024", &*name));
        writer.must(&format!("connect {} 0", &*name));
        writer.must("write 1 10 write");

        let (child, _) = Child::from(&writer.must(how));
        writer.kill_unreaped();
        reader.must("read 1000 1");
        reader.must_fail("read 20000 0", "WriterGone");
        child.assert_alive();
        let mut writer = Peer::native();
        writer.must(&format!("connect {} 20000", &*name));

        let (child, _) = Child::from(&reader.must(how));
        reader.kill_unreaped();
        writer.must("timeout 20000");
        let message = loop {
            let reply = writer.ask("write 2 300 write");
            if let Some(message) = reply.strip_prefix("err ") {
                break message.to_owned();
            }
        };
        assert!(message.starts_with("ReaderGone"), "{message}");
        // Neither the presence lock nor the lock files are held by the child.
        let mut next = Peer::native();
        next.must(&format!("create {} 64 1024", &*name));
        child.assert_alive();
        next.must("close");
    }
}

#[test]
fn using_an_endpoint_in_the_child_is_an_error() {
    let name = Name::new("fork-use");
    let mut both = Peer::native();
    both.must(&format!("create {} 64 1024", &*name));
    both.must(&format!("connect {} 0", &*name));
    both.must("write 1 10 write");
    let (child, attempts) = Child::from(&both.must("fork use"));
    assert_eq!(attempts, "Forked Forked");
    child.assert_alive();
    // The parent goes on undisturbed.
    both.must("write 2 20 write");
    assert_eq!(both.must("read 1000 1"), "1 10");
    assert_eq!(both.must("read 1000 2"), "2 20");
    both.must("close");
    name.assert_gone();
}

#[test]
fn a_child_that_drops_the_endpoints_takes_nothing_from_the_parent() {
    let name = Name::new("fork-drop");
    let mut both = Peer::native();
    both.must(&format!("create {} 64 1024", &*name));
    both.must(&format!("connect {} 0", &*name));
    both.must("write 1 300 write");
    both.must("hold 1000 1");
    let there = name.leftovers();
    assert!(!there.is_empty());
    for round in 0..5 {
        both.must("fork drop");
        // Presence, pids, files and the held frame's space are all still the parent's.
        let mut other = Peer::native();
        other.must_fail(&format!("create {} 64 1024", &*name), "ReaderAlreadyConnected");
        other.must_fail(&format!("connect {} 0", &*name), "WriterAlreadyConnected");
        assert_eq!(name.leftovers(), there);
        both.must("recheck 0 1");
        both.must(&format!("write {} 40 write", round + 2));
        assert_eq!(both.must(&format!("read 1000 {}", round + 2)), format!("{} 40", round + 2));
    }
    both.must("release 0");
    both.must("close");
    name.assert_gone();
}
