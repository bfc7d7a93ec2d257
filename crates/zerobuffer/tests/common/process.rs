//! Helper processes: this test binary or an interpreter, spoken to in lines, killed when dropped.

use std::io::{self, BufRead, BufReader, Write};
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

const ROLE: &str = "ZEROBUFFER_TEST_ROLE";
/// Marks the lines that are replies; everything else on stdout is the test harness talking.
const MARK: &str = "@@ ";
/// No reply for this long is a hang, also on a machine that does ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The entry point of helper processes: runs an agent when this binary was started as one, else
/// nothing.
#[test]
#[ignore = "entry point of helper processes, started by other tests"]
fn role_entry() {
    if std::env::var_os(ROLE).is_some() {
        super::agent::run();
    }
}

/// Sends one reply line from a helper process to the test that started it.
pub(crate) fn reply(text: &str) {
    let line = format!("\n{MARK}{text}\n");
    let mut out = io::stdout().lock();
    // A closed pipe means that the test is over, and so is this process.
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// A running helper process.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    replies: Receiver<String>,
    what: String,
}

impl Peer {
    /// A native agent in a process of its own.
    pub(crate) fn native() -> Self {
        Self::start(Self::command(), "agent")
    }

    fn command() -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "common::process::role_entry", "--ignored", "--nocapture"]);
        command.args(["--test-threads", "1"]).env(ROLE, "agent");
        command
    }

    /// A native agent that first runs `setup` between fork and exec.
    #[cfg(target_os = "linux")]
    pub(crate) fn native_after(setup: fn() -> io::Result<()>) -> Self {
        let mut command = Self::command();
        // SAFETY: the set-ups of the tests are system calls on constants and plain numbers, without
        // allocation.
        unsafe { command.pre_exec(setup) };
        Self::start(command, "agent in its own surroundings")
    }

    /// A native agent with one more variable in its environment.
    #[cfg(target_os = "linux")]
    pub(crate) fn native_with(variable: &str, value: &std::ffi::OsStr) -> Self {
        let mut command = Self::command();
        command.env(variable, value);
        Self::start(command, "agent in another environment")
    }

    /// Both.
    #[cfg(target_os = "linux")]
    pub(crate) fn native_after_with(
        setup: fn() -> io::Result<()>,
        variable: &str,
        value: &std::ffi::OsStr,
    ) -> Self {
        let mut command = Self::command();
        command.env(variable, value);
        // SAFETY: as above.
        unsafe { command.pre_exec(setup) };
        Self::start(command, "agent in its own surroundings and another environment")
    }

    /// The published Python package 1.3.0; `None`, with the reason printed, when it is not at hand.
    pub(crate) fn old() -> Option<Self> {
        Self::old_running("old_peer.py")
    }

    /// As [`Self::old`], with another of the scripts in `tests/python`.
    pub(crate) fn old_running(script: &str) -> Option<Self> {
        let Some(python) = old_python() else {
            let reason = "ZEROBUFFER_TEST_OLD_PYTHON names no Python with zerobuffer-ipc 1.3.0 and posix-ipc";
            assert!(std::env::var_os("ZEROBUFFER_TEST_REQUIRE").is_none_or(|v| v != "1"), "{reason}");
            super::skipped(reason);
            return None;
        };
        let mut command = Command::new(python);
        // The tests of a package beside this one use it too.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zerobuffer/tests/python");
        command.arg("-u").arg(folder.join(script));
        let mut peer = Self::start(command, "Python 1.3.0");
        assert_eq!(peer.ask("version"), "ok 1.3.0");
        Some(peer)
    }

    pub(crate) fn start(mut command: Command, what: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Elsewhere a helper whose test is gone ends with its input. SAFETY: the closure runs
        // between fork and exec and makes one async-signal-safe system call.
        #[cfg(target_os = "linux")]
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = spawn(&mut command).unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let output = child.stdout.take().unwrap();
        let (sender, replies) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, text)) = line.split_once(MARK)
                    && sender.send(text.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Self { what: format!("{what} (pid {})", child.id()), child, input, replies }
    }

    pub(crate) fn pid(&self) -> u64 {
        u64::from(self.child.id())
    }

    /// Sends a command without waiting for its reply.
    #[track_caller]
    pub(crate) fn tell(&mut self, command: &str) {
        let input = self.input.as_mut().expect("the peer was already asked to finish");
        writeln!(input, "{command}").unwrap_or_else(|error| panic!("{}: {command}: {error}", self.what));
    }

    /// The next reply; a peer that says nothing for [`PATIENCE`] or has ended fails the test.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> String {
        match self.replies.recv_timeout(PATIENCE) {
            Ok(text) => text,
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs", self.what),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().unwrap();
                panic!("{} ended: {status}", self.what);
            }
        }
    }

    /// The next reply if it comes within `timeout`.
    pub(crate) fn reply_within(&mut self, timeout: Duration) -> Option<String> {
        self.replies.recv_timeout(timeout).ok()
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.reply()
    }

    /// Sends a command that must succeed; returns what follows `ok`.
    #[track_caller]
    pub(crate) fn must(&mut self, command: &str) -> String {
        let reply = self.ask(command);
        self.ok(command, &reply)
    }

    /// The reply to an earlier [`Peer::tell`], which must be a success.
    #[track_caller]
    pub(crate) fn must_reply(&mut self) -> String {
        let reply = self.reply();
        self.ok("an earlier command", &reply)
    }

    #[track_caller]
    fn ok(&self, command: &str, reply: &str) -> String {
        match reply.strip_prefix("ok") {
            Some(rest) => rest.trim().to_owned(),
            None => panic!("{}: {command}: {reply}", self.what),
        }
    }

    /// Sends a command that must fail with the named error; returns the message.
    #[track_caller]
    pub(crate) fn must_fail(&mut self, command: &str, error: &str) -> String {
        let reply = self.ask(command);
        match reply.strip_prefix("err ").and_then(|text| text.split_once(": ")) {
            Some((kind, message)) if kind == error => message.to_owned(),
            _ => panic!("{}: {command}: {reply}, expected the error {error}", self.what),
        }
    }

    /// Sends a signal, such as the one that stops it.
    #[cfg(target_os = "linux")]
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the process is a child that was not waited for yet, so the number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// Killed (SIGKILL, `TerminateProcess`), and gone (not even a zombie) on return.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Killed, left as a zombie, or with its process object open, until the peer is dropped.
    pub(crate) fn kill_unreaped(&mut self) {
        let _ = self.child.kill();
    }

    /// Every reply that is still in the pipe of a killed peer.
    pub(crate) fn remaining(&mut self) -> Vec<String> {
        self.replies.iter().collect()
    }

    /// Ends the peer by the end of its input and asserts that it exits with success.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}", self.what);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Wine answers some of many starts at a time with an internal error, which the next attempt does
/// not meet.
fn spawn(command: &mut Command) -> io::Result<Child> {
    const INTERNAL_ERROR: i32 = 1359;
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(INTERNAL_ERROR) => {
                thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
    command.spawn()
}

fn old_python() -> Option<PathBuf> {
    std::env::var_os("ZEROBUFFER_TEST_OLD_PYTHON").map(PathBuf::from).filter(|path| path.is_file())
}
