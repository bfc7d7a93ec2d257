//! One request answered by one run of a program, within bounds of time and of bytes.
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zerobuffer::duplex::BoxError;

use super::programs::Programs;
use crate::{os, size, text, time};

/// How often a running program's limits are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The first pause between two looks at a program that has closed its output; later ones double.
const POLL_EVERY: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// How much of its standard error is kept for the caller, bytes.
const TAIL: usize = 400;

/// What a program may take.
pub(super) struct Limits {
    pub(super) time: Option<Duration>,
    /// Bytes of its output: what a response can carry.
    pub(super) output: u64,
}

/// Runs `program` by the shell with `request` as its standard input; gives what it printed.
///
/// It is ended, with all that it started, when it exceeds a limit or when nobody is left who wants
/// its answer.
pub(super) fn run(
    programs: &Programs,
    program: &str,
    request: &[u8],
    limits: &Limits,
    wanted: impl Fn() -> bool,
) -> Result<Vec<u8>, BoxError> {
    let mut command = Command::new("sh");
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (id, (stdin, stdout, stderr)) = programs
        .start(&mut command, |child| (child.stdin.take(), child.stdout.take(), child.stderr.take()))
        .map_err(|error| format!("cannot start sh: {error}"))?;
    let tail = Arc::new(Mutex::new(Vec::new()));
    let telling = stderr.map(|stderr| pass_on(stderr, Arc::clone(&tail))).transpose();
    let watch = Watch { program, limits, started: Instant::now(), wanted: &wanted };
    let ended = std::thread::scope(|scope| {
        // Both at once: a program may print before it has read everything, or read nothing at all.
        let feeding = std::thread::Builder::new()
            .spawn_scoped(scope, move || stdin.map(|mut stdin| stdin.write_all(request)));
        let ended = feeding.map_err(BoxError::from).and_then(|_| {
            let stdout = stdout.ok_or("the program has no output")?;
            let output = watch.collect(os::pipe_file(stdout))?;
            Ok((output, watch.wait(programs, id)?))
        });
        if ended.is_err() {
            // Before the thread that feeds it is waited for, which may be stuck in a write.
            programs.kill(id);
        }
        ended
    });
    let (output, status) = ended?;
    if !status.success() {
        // What it has said last explains its end best; it is there in a moment.
        let telling = telling?;
        let until = Instant::now() + LOOK;
        while telling.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(POLL_EVERY);
        }
        return Err(failure(program, status, &tail.lock().unwrap_or_else(PoisonError::into_inner)).into());
    }
    if output.is_empty() {
        return Err(format!("'{program}' printed nothing, and a response has at least one byte").into());
    }
    Ok(output)
}

/// How a program ended, and the last line that it has printed on standard error.
fn failure(program: &str, status: ExitStatus, tail: &[u8]) -> String {
    let words = String::from_utf8_lossy(tail);
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
    let said = last.map_or_else(String::new, |line| format!(": {}", text::one_line(line)));
    format!("'{program}' ended with {status}{said}")
}

/// Prints a program's standard error on this one's, and keeps its end, on a thread of its own. It
/// does not wait for other holders of that pipe.
fn pass_on(
    mut stderr: std::process::ChildStderr,
    tail: Arc<Mutex<Vec<u8>>>,
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(String::from("stderr")).spawn(move || {
        let mut part = [0u8; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut part) {
            let part = part.get(..count).unwrap_or_default();
            let _ = io::stderr().lock().write_all(part);
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(part);
            let excess = tail.len().saturating_sub(TAIL);
            tail.drain(..excess);
        }
    })
}

/// A program under way, and when it has had enough.
struct Watch<'a, W> {
    program: &'a str,
    limits: &'a Limits,
    started: Instant,
    wanted: &'a W,
}

impl<W: Fn() -> bool> Watch<'_, W> {
    fn check(&self) -> Result<(), BoxError> {
        let program = self.program;
        if let Some(limit) = self.limits.time.filter(|limit| self.started.elapsed() >= *limit) {
            let limit = time::seconds(limit);
            return Err(
                format!("'{program}' was ended: it ran for {limit}, all that --timeout allows").into()
            );
        }
        if !(self.wanted)() {
            return Err(format!("'{program}' was ended: its caller has gone").into());
        }
        Ok(())
    }

    /// Everything that it prints, up to the end of its output.
    fn collect(&self, mut stdout: std::fs::File) -> Result<Vec<u8>, BoxError> {
        let mut output = Vec::new();
        let mut part = vec![0u8; 64 << 10];
        loop {
            self.check()?;
            if !os::readable(&stdout, LOOK)? {
                continue;
            }
            match stdout.read(&mut part) {
                Ok(0) => return Ok(output),
                Ok(count) => output.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if output.len() as u64 > self.limits.output {
                return Err(format!(
                    "'{}' was ended: it printed more than {} bytes ({}), all that the caller's response ring takes; call with a larger one: --response-size BYTES",
                    self.program,
                    self.limits.output,
                    size::human(self.limits.output)
                )
                .into());
            }
        }
    }

    /// Its end. Not in a wait of the system: another thread may have to end it meanwhile.
    fn wait(&self, programs: &Programs, id: u32) -> Result<ExitStatus, BoxError> {
        let mut pause = POLL_EVERY;
        loop {
            if let Some(status) = programs.ended(id)? {
                return Ok(status);
            }
            self.check()?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
