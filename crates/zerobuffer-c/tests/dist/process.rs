//! Processes that say when they are ready, and are ended with their test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    what: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let mut child =
            command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, what }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{} ended: {:?}", self.what, self.child.try_wait());
        line.trim().to_owned()
    }

    /// A line that begins so, perhaps behind others.
    pub(crate) fn says(&mut self, begin: &str) {
        while !self.line().starts_with(begin) {}
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It ends well, soon.
    pub(crate) fn ends(mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{}: {status}", self.what);
                return;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.what);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
