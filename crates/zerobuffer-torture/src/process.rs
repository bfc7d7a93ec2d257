//! The supervisor's side of an endpoint process: start it, hear it, stop it, kill it.

use crate::plan::Plan;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Whatever takes longer than this is a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// "nobody", as which an endpoint of another user runs.
pub(crate) const OTHER_USER: u32 = 65_534;

/// An endpoint on the published package.
const OLD_END: &str = include_str!("old_end.py");

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Reader,
    Writer,
    Client,
    Server,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// In what surroundings an endpoint runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    /// A pid namespace of its own: its number means nothing, or somebody else, to its peer.
    PidNamespace,
    /// Another user.
    OtherUser,
    /// The published package 1.3.0, on that interpreter.
    Old(PathBuf),
    /// The same without the right to signal other users' processes. It takes such a process for
    /// dead, and so the place of a live writer.
    OldIntruder(PathBuf),
}

/// A running endpoint.
pub(crate) struct Endpoint {
    child: Child,
    role: Role,
    place: Place,
    lines: Receiver<String>,
    /// Its number in this namespace, once it has said so.
    pid: Option<Pid>,
    /// The segment it has created or attached to, as of the lines read so far.
    pub(crate) segment: Option<u64>,
    /// Descriptors and threads when it had its first segment.
    footprint: Option<(u64, u64)>,
    /// How often it had too few descriptors for an endpoint.
    pub(crate) starved: u64,
    /// Answers that a client has had.
    pub(crate) answers: u64,
    /// What it has found wrong.
    pub(crate) complaints: Vec<String>,
    /// Sequence numbers that it has not seen: `from..to`.
    pub(crate) gaps: Vec<(u64, u64)>,
}

impl Endpoint {
    pub(crate) fn spawn(role: Role, place: &Place, plan: &Plan, number: u64) -> Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let mut command = match place {
            Place::Here => Command::new(&program),
            Place::PidNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--pid", "--fork", "--kill-child"]).arg(&program);
                command
            }
            Place::OtherUser => {
                let mut command = Command::new(&program);
                command.uid(OTHER_USER).gid(OTHER_USER);
                command
            }
            Place::Old(python) => {
                let mut command = Command::new(python);
                command.args(["-c", OLD_END]);
                command
            }
            Place::OldIntruder(python) => {
                let mut command = Command::new("setpriv");
                command.arg("--bounding-set=-kill").arg(python).args(["-c", OLD_END]);
                command
            }
        };
        command.arg(role.word()).arg(number.to_string()).args(plan.arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("no pipe")?;
        let mut errors = child.stderr.take().context("no pipe")?;
        let (sender, lines) = channel();
        let failures = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        thread::spawn(move || {
            let mut text = String::new();
            if errors.read_to_string(&mut text).is_ok() && !text.trim().is_empty() {
                // A line of its own, so it counts as a complaint.
                let _ = failures.send(format!("bad {}", text.trim().replace('\n', " | ")));
            }
        });
        Ok(Self {
            child,
            role,
            place: place.clone(),
            lines,
            pid: None,
            segment: None,
            footprint: None,
            starved: 0,
            answers: 0,
            complaints: Vec::new(),
            gaps: Vec::new(),
        })
    }

    /// Reads what has been said so far.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.hear(&line);
        }
    }

    fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let head = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        match (head, numbers.as_slice()) {
            ("hello", [pid]) => self.pid = i32::try_from(*pid).ok().and_then(Pid::from_raw),
            ("created" | "attached", [segment]) => self.segment = Some(*segment),
            ("gap", [from, to]) => self.gaps.push((*from, *to)),
            ("footprint", [descriptors, threads, _]) => {
                self.footprint.get_or_insert((*descriptors, *threads));
            }
            ("closed", [descriptors, threads, _]) => {
                if let Some((before, threads_before)) = self.footprint
                    && (*descriptors > before || *threads > threads_before)
                {
                    self.complaints.push(format!(
                        "leak: {descriptors} descriptors and {threads} threads after the close, {before} and {threads_before} at the start"
                    ));
                }
            }
            ("answered", [count]) => self.answers += count,
            ("starved", _) => self.starved += 1,
            ("gone" | "drained" | "replaced" | "unnamed", _) | ("closed", []) => {}
            // The wrapper's own words when its child is killed.
            ("bad", _) if line.starts_with("bad unshare:") => {}
            _ => self.complaints.push(format!("{}: {line}", self.role.word())),
        }
    }

    /// Waits for a line that starts with `head`, and returns its numbers.
    pub(crate) fn expect(&mut self, head: &str) -> Result<Vec<u64>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} hangs: not '{head}' within {PATIENCE:?}{}", self.role.word(), self.stack())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    let complaints = self.complaints.join("; ");
                    bail!("{} ended ({status}) without '{head}'. {complaints}", self.role.word())
                }
            };
            self.hear(&line);
            if let Some(rest) = line.strip_prefix(head)
                && (rest.is_empty() || rest.starts_with(' '))
            {
                return Ok(rest.split_whitespace().filter_map(|word| word.parse().ok()).collect());
            }
        }
    }

    /// Where a hanging process is.
    fn stack(&self) -> String {
        let pid = self.target().as_raw_nonzero();
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        format!(" (pid {pid}, in {}, {})", read("wchan"), read("syscall").trim())
    }

    pub(crate) fn order(&mut self, word: &str) {
        if let Some(input) = self.child.stdin.as_mut() {
            // The wait for its answer finds that a process has ended.
            let _ = writeln!(input, "{word}");
        }
    }

    fn target(&self) -> Pid {
        self.pid.unwrap_or_else(|| Pid::from_child(&self.child))
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.catch_up();
        let _ = kill_process(self.target(), signal);
        if signal == Signal::CONT {
            // `unshare` stops itself when its child is stopped.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// SIGKILL, and gone on return; hears what it has said before.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        if self.place == Place::PidNamespace {
            // Also if the process had not yet said which number it has.
            let _ = self.child.kill();
        }
        self.child.wait()?;
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.hear(&line);
        }
        Ok(())
    }

    /// Waits for the end of a process that has said that it has closed.
    pub(crate) fn reap(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end after its close", self.role.word());
            }
            thread::sleep(Duration::from_micros(200));
        }
        self.catch_up();
        Ok(())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = kill_process(self.target(), Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
