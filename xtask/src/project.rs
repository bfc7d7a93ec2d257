//! Where the project lies, and how its commands are run: printed first, and named in the error when
//! they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::processes;

/// The variable that every process of a test run inherits: tells the run's own processes from those
/// of others.
pub(crate) const MARK: &str = "ZEROBUFFER_XTASK_RUN";

/// The variable with what precedes the name of every buffer that a test run makes.
const NAMES: &str = "ZEROBUFFER_TEST_MARK";

/// What precedes the names of this run's buffers. Short, since names on macOS end at 30 bytes. Five
/// digits of base 36 distinguish the runs that go on at a time, and those of yesterday.
pub(crate) fn name_mark() -> &'static str {
    static RUN: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut number = now.map_or(0, |now| now.as_millis() as u64) ^ (u64::from(std::process::id()) << 20);
        number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let digits: String = (0..5)
            .map(|_| {
                let digit = char::from_digit((number % 36) as u32, 36).unwrap_or('0');
                number /= 36;
                digit
            })
            .collect();
        format!("x{digits}-")
    });
    &RUN
}

/// The repository's folders.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// What the commands install for themselves: `target/xtask`, removed by `cargo clean`.
    pub(crate) cache: PathBuf,
}

impl Project {
    /// Finds the repository this binary was built from, and the target folder it was built into.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("the xtask folder has no parent")?.to_path_buf();
        // target/debug/xtask; CARGO_TARGET_DIR is followed by this too.
        let binary = std::env::current_exe().context("cannot tell where this binary lies")?;
        let target = binary.ancestors().nth(2).context("this binary does not lie in a target folder")?;
        Ok(Self { cache: target.join("xtask"), root })
    }

    /// A program of this workspace, built with the profile of the tests.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.cache.with_file_name("debug").join(name)
    }

    /// `program` in the repository's root, without standard input.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// `cargo` with the given words.
    pub(crate) fn cargo(&self, words: &str) -> Command {
        let mut command = self.command("cargo");
        command.args(words.split_whitespace());
        command
    }
}

/// Prints the command, runs it, and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Like [`run`], but ends the command and every process with our mark once `limit` is over.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let mark = std::process::id().to_string();
    command.env(MARK, &mark).env(NAMES, name_mark());
    eprintln!("$ {}", line(command));
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", line(command)))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", line(command)) };
        }
        if Instant::now() >= deadline {
            child.kill()?;
            for process in processes::marked(&mark) {
                process.kill();
            }
            child.wait()?;
            bail!("`{}` still ran after {} s and was ended", line(command), limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Like [`run`], but shows what the command prints only if it fails: for installers.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    capture(command).map(drop)
}

/// What the command prints on its standard output, trimmed; nothing is shown.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("`{}` failed: {}: {}", line(command), output.status, String::from_utf8_lossy(&text).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let quote = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let (Some(value), true) = (value, name != MARK && name != NAMES) {
            words.push(format!("{}={}", name.to_string_lossy(), quote(value)));
        }
    }
    words.push(quote(command.get_program()));
    words.extend(command.get_args().map(quote));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command.args(["doc", "it's here", ""]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(line(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc 'it'\''s here' ''");
    }

    #[test]
    fn a_failed_command_is_named_with_its_exit_code() {
        let error = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exit 7'` failed: exit status: 7");
    }

    #[test]
    fn a_failed_installer_shows_what_it_printed() {
        let error =
            run_quietly(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 1"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 1") && text.contains("out\nerr"), "{text}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_command_that_hangs_is_ended_with_the_processes_it_started() {
        let started = Instant::now();
        // The grandchild would keep running if only the shell were killed.
        let script = "sleep 1000 & sleep 1000";
        let error =
            run_within(Duration::from_millis(300), Command::new("sh").args(["-c", script])).unwrap_err();
        assert!(error.to_string().contains("was ended"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(500));
        let gone = Instant::now() + Duration::from_secs(30);
        while !processes::marked(&std::process::id().to_string()).is_empty() {
            assert!(Instant::now() < gone, "the sleeping grandchild is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
