//! A process that this one has started to be the other end of something: watched, ended, asked what
//! it measured.
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use zerobuffer::{BufferConfig, Reader, observe};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::os;

/// How long children get to end after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

/// A process of this program, in another role; ended when this is dropped.
///
/// It has a process group of its own: Ctrl-C at the terminal is for this process, which asks it to
/// end, once. Its standard input is a pipe that closes with this process, whose end it takes for
/// such a request.
pub(super) struct End {
    /// What messages call it.
    role: &'static str,
    child: Child,
    /// Both streams are read while the process runs: it must not block on a full pipe.
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    pub(super) status: Option<ExitStatus>,
}

impl End {
    /// Starts this program with another command.
    pub(super) fn start(role: &'static str, command: &str, arguments: &[String]) -> Result<End, Fail> {
        let (mut end, stdout) = End::spawn(role, command, arguments)?;
        end.stdout = Some(collect(stdout)?);
        Ok(end)
    }

    /// The same for one that prints a line when its buffer is there; fails if it ends without.
    pub(super) fn start_ready(role: &'static str, command: &str, arguments: &[String]) -> Result<End, Fail> {
        let (mut end, mut stdout) = End::spawn(role, command, arguments)?;
        let mut line = String::new();
        let ready = stdout.read_line(&mut line).is_ok_and(|count| count > 0);
        end.stdout = Some(collect(stdout)?);
        if ready { Ok(end) } else { Err(end.failure()) }
    }

    fn spawn(
        role: &'static str,
        command: &str,
        arguments: &[String],
    ) -> Result<(End, BufReader<ChildStdout>), Fail> {
        let failed = |error: &std::io::Error| Fail::io(format_args!("cannot start {role}"), error);
        let mut command_line = crate::again::command().map_err(|error| failed(&error))?;
        command_line.arg(command).args(arguments);
        command_line.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = os::lead_group(&mut command_line).spawn().map_err(|error| failed(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut end = End { role, child, stdout: None, stderr: None, status: None };
        match (stdout, stderr) {
            (Some(stdout), Some(stderr)) => {
                end.stderr = Some(collect(stderr)?);
                Ok((end, BufReader::new(stdout)))
            }
            _ => Err(Fail::new(Exit::Internal, format!("{role} has no pipes"))),
        }
    }

    pub(super) fn poll(&mut self) -> Result<Option<ExitStatus>, Fail> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .map_err(|error| Fail::io(format_args!("cannot watch {}", self.role), &error))?;
        }
        Ok(self.status)
    }

    /// Asks it to end, as its parent's end would; gives the moment after which it is ended for
    /// good.
    pub(super) fn ask_to_end(&mut self) -> Instant {
        drop(self.child.stdin.take());
        Instant::now() + GRACE
    }

    pub(super) fn wait(&mut self, until: Instant) {
        while matches!(self.poll(), Ok(None)) {
            if Instant::now() >= until {
                let _ = self.child.kill();
                self.status = self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Why it failed, in its own words.
    pub(super) fn failure(&mut self) -> Fail {
        self.wait(Instant::now() + GRACE);
        let errors = join(self.stderr.take());
        let last = errors.lines().last().unwrap_or_default();
        let words = last.strip_prefix("zerobuffer: error: ").unwrap_or(last);
        let exit = self.status.map_or(Exit::PeerGone, Exit::of_status);
        if words.is_empty() {
            let how =
                self.status.map_or_else(|| String::from("without a status"), |status| status.to_string());
            return Fail::new(exit, format!("{} ended early ({how})", self.role));
        }
        Fail::new(exit, format!("{}: {words}", self.role))
    }

    pub(super) fn measured<T: DeserializeOwned>(&mut self) -> Result<T, Fail> {
        serde_json::from_str(&join(self.stdout.take())).map_err(|error| {
            Fail::new(Exit::Internal, format!("the report of {} is not readable: {error}", self.role))
        })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let asked = self.ask_to_end();
        self.wait(asked);
    }
}

/// Removes what a killed native end has left of the buffer `name`, which has no other user.
pub(super) fn sweep(name: &str) {
    if observe::inspect(name).is_ok() {
        // A new reader takes a dead one's name over, and its own close takes everything along. If
        // somebody lives there after all, it is left alone.
        let _ = Reader::create(name, BufferConfig::ring(64).metadata(0)).and_then(Reader::close);
    }
}

/// Reads a child's pipe to its end on a thread of its own.
fn collect(mut pipe: impl std::io::Read + Send + 'static) -> Result<JoinHandle<String>, Fail> {
    std::thread::Builder::new()
        .spawn(move || {
            let mut text = Vec::new();
            // A pipe that fails gives what came before; the exit status tells the rest.
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
        .map_err(|error| Fail::io("cannot start a thread", &error))
}

fn join(thread: Option<JoinHandle<String>>) -> String {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
}
