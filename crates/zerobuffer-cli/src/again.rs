//! How this command is started once more, for commands that have two processes.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::sync::OnceLock;

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Sets the words that start it; none: this program does.
pub(crate) fn set(words: Vec<OsString>) {
    let _ = WORDS.set(words);
}

/// This command, without arguments.
pub(crate) fn command() -> io::Result<Command> {
    match WORDS.get().map(Vec::as_slice) {
        Some([program, words @ ..]) => {
            let mut command = Command::new(program);
            command.args(words);
            Ok(command)
        }
        _ => Ok(Command::new(std::env::current_exe()?)),
    }
}
