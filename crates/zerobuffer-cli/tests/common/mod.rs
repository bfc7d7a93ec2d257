//! Starting the command, feeding it, and looking at how it ended.
// Each test crate uses a part of this file.
#![allow(dead_code)]

pub(crate) mod elsewhere;
pub(crate) mod papers;

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes seconds on an idle machine; only a hang reaches this.
const LIMIT: Duration = Duration::from_secs(90);

/// A buffer name that no other test uses.
pub(crate) fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // The run of `cargo xtask test`, which looks for left-overs by this mark.
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}zb-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A copy of the command that any user may run. A program of its own makes it: a file that is
/// written here would stay open in a child that another test starts meanwhile.
pub(crate) fn copy_to(program: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_zerobuffer")).arg(program).status();
    assert!(copied.unwrap().success());
}

/// The command, not yet started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerobuffer"));
    command.args(arguments).env_remove("ZEROBUFFER_LOG");
    command
}

/// A started command; killed if the test fails before it ends.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_thread: Option<JoinHandle<()>>,
    what: String,
}

/// How a command ended.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    what: String,
}

/// Starts the command with pipes on all three streams.
pub(crate) fn start(arguments: &[&str]) -> Running {
    start_command(command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

/// Starts a prepared command; its stderr becomes a pipe.
pub(crate) fn start_command(command: &mut Command) -> Running {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        })
    });
    let stderr = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&stderr);
    let mut pipe = child.stderr.take().unwrap();
    let stderr_thread = std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            into.lock().unwrap().extend_from_slice(&part[..count]);
        }
    });
    let what = format!("{command:?}");
    Running { child, stdin, stdout, stderr, stderr_thread: Some(stderr_thread), what }
}

/// Runs the command without input to its end.
pub(crate) fn run(arguments: &[&str]) -> Done {
    feed(arguments, b"")
}

/// Runs the command with `input` on its standard input to its end.
pub(crate) fn feed(arguments: &[&str], input: &[u8]) -> Done {
    let mut running = start(arguments);
    running.write(input);
    running.finish()
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input; a command that does not read all of it is no failure here.
    pub(crate) fn write(&mut self, input: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(input).and_then(|()| stdin.flush());
        }
    }

    /// Ends its standard input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Waits until its stderr contains `part`.
    pub(crate) fn wait_for(&mut self, part: &str) {
        let start = Instant::now();
        while !self.stderr().contains(part) {
            assert!(start.elapsed() < LIMIT, "{}: '{part}' is not in: {}", self.what, self.stderr());
            if self.child.try_wait().unwrap().is_some() {
                std::thread::sleep(Duration::from_millis(100));
                let stderr = self.stderr();
                assert!(stderr.contains(part), "{} ended without '{part}': {stderr}", self.what);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).unwrap();
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn finish(mut self) -> Done {
        self.stdin = None;
        self.wait()
    }

    /// Waits for its end with its standard input left open.
    pub(crate) fn wait(mut self) -> Done {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "{} hangs; it said: {}", self.what, self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        };
        let stdout = self.stdout.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
        self.stderr_thread.take().unwrap().join().unwrap();
        Done {
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr: self.stderr(),
            what: std::mem::take(&mut self.what),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Done {
    /// Ended with success and without an error line.
    #[track_caller]
    pub(crate) fn ok(self) -> Done {
        assert_eq!(self.code, Some(0), "{}: {}", self.what, self.stderr);
        assert!(!self.stderr.contains("error:"), "{}: {}", self.what, self.stderr);
        self
    }

    /// Ended with `code` and one error line that contains every one of `parts`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, parts: &[&str]) -> Done {
        assert_eq!(self.shell_code(), code, "{} (signal {:?}): {}", self.what, self.signal, self.stderr);
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.contains("error:")).collect();
        assert_eq!(errors.len(), 1, "{}: {}", self.what, self.stderr);
        for line in self.stderr.lines() {
            assert!(line.starts_with("zerobuffer: "), "{}: {line}", self.what);
        }
        for part in parts {
            assert!(errors[0].contains(part), "{}: '{part}' is not in: {}", self.what, errors[0]);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Ended by a signal with `code`, no error line, and one line with every one of `parts` that
    /// says so.
    #[track_caller]
    pub(crate) fn stopped(self, code: i32, parts: &[&str]) -> Done {
        assert_eq!(self.shell_code(), code, "{} (signal {:?}): {}", self.what, self.signal, self.stderr);
        assert!(!self.stderr.contains("error:"), "{}: {}", self.what, self.stderr);
        let said: Vec<&str> =
            self.stderr.lines().filter(|line| line.starts_with("zerobuffer: stopped by ")).collect();
        assert_eq!(said.len(), 1, "{}: {}", self.what, self.stderr);
        for line in self.stderr.lines() {
            assert!(line.starts_with("zerobuffer: "), "{}: {line}", self.what);
        }
        for part in parts {
            assert!(said[0].contains(part), "{}: '{part}' is not in: {}", self.what, said[0]);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The code that a shell makes of its end.
    pub(crate) fn shell_code(&self) -> i32 {
        self.code.or(self.signal.map(|signal| 128 + signal)).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("{}: {error}: {}", self.what, String::from_utf8_lossy(&self.stdout))
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// The files that belong to the buffer `name`.
pub(crate) fn files(name: &str) -> Vec<String> {
    [
        format!("/dev/shm/{name}"),
        format!("/dev/shm/sem.sem-w-{name}"),
        format!("/dev/shm/sem.sem-r-{name}"),
        format!("/tmp/zerobuffer/{name}.lock"),
        format!("/tmp/zerobuffer/locks/{name}.lock"),
    ]
    .into_iter()
    .filter(|path| Path::new(path).exists())
    .collect()
}

#[track_caller]
pub(crate) fn assert_no_files(name: &str) {
    assert_eq!(files(name), Vec::<String>::new());
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A y4m stream of `count` frames, each of other bytes; `behind` is what follows FRAME.
pub(crate) fn y4m(header: &str, frame_size: usize, count: usize, behind: &str) -> Vec<u8> {
    let mut stream = format!("{header}\n").into_bytes();
    for frame in 0..count {
        stream.extend_from_slice(format!("FRAME{behind}\n").as_bytes());
        stream.extend_from_slice(&noise(frame_size, frame as u64));
    }
    stream
}

/// Bytes that look random, the same ones for the same seed.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A command whose three streams are a terminal of its own, made by util-linux' `script`.
pub(crate) struct Terminal(Running);

impl Terminal {
    /// `None`, said on standard output, where that program is missing.
    pub(crate) fn start(arguments: &[&str]) -> Option<Terminal> {
        let line = format!("exec {} {}", env!("CARGO_BIN_EXE_zerobuffer"), arguments.join(" "));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).env_remove("ZEROBUFFER_LOG").env("TERM", "xterm");
        if Command::new("script").arg("--version").output().is_err() {
            missing("the program script (util-linux) is not there to make a terminal");
            return None;
        }
        Some(Terminal(start_command(script.stdin(Stdio::piped()).stdout(Stdio::piped()))))
    }

    /// The process number of the command itself.
    pub(crate) fn pid(&mut self) -> u32 {
        let parent = self.0.pid();
        let mut found = None;
        until("the command runs in its terminal", || {
            assert!(self.0.is_running(), "script ended: {}", self.0.stderr());
            found =
                children(parent).first().filter(|(_, line)| !line.starts_with("sh ")).map(|(pid, _)| *pid);
            found.is_some()
        });
        found.unwrap()
    }

    /// What a person types; `\u{3}` is Ctrl-C, which the terminal turns into a signal for all of
    /// its processes.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.0.write(keys.as_bytes());
    }

    /// Waits for its end; everything that the terminal has shown is its standard output.
    pub(crate) fn wait(self) -> Done {
        self.0.wait()
    }
}

/// Says that a tool of a test is missing, which is a failure where all tests are required.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("ZEROBUFFER_TEST_REQUIRE").is_none_or(|value| value != "1"), "{what}");
    println!("skipped: {what}");
}

/// A Python that can import `module`, one of the official readers of what the command writes.
pub(crate) fn observers_python(module: &str) -> Option<String> {
    let python =
        std::env::var("ZEROBUFFER_TEST_OBSERVERS_PYTHON").unwrap_or_else(|_| String::from("python3"));
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    missing(&format!("{python} has no {module} (cargo xtask env sets ZEROBUFFER_TEST_OBSERVERS_PYTHON)"));
    None
}

/// The processes that `parent` started, with their command lines.
pub(crate) fn children(parent: u32) -> Vec<(u32, String)> {
    let read =
        |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| read(*pid, "status").contains(&format!("\nPPid:\t{parent}\n")))
        .map(|pid| (pid, read(pid, "cmdline").replace('\0', " ")))
        .collect()
}

/// Names in shared memory that contain `part`.
pub(crate) fn in_shared_memory(part: &str) -> Vec<String> {
    let names = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(part)).collect()
}

/// Equality without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], expected: &[u8]) {
    assert_eq!(got.len(), expected.len(), "another number of bytes");
    let different = got.iter().zip(expected).position(|(got, expected)| got != expected);
    assert_eq!(different, None, "first byte that differs");
}
