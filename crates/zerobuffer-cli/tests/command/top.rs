//! `top` in a real terminal (tmux), and as lines of JSON.

use std::process::Command;

use crate::common::{name, run, start, until};
use rustix::process::Signal;
use serde_json::Value;
use zerobuffer::{BufferConfig, Reader, Writer};

/// A session of tmux of its own server; ended with this value.
struct Tmux(String);

impl Tmux {
    /// `None`, said on standard output, where tmux is missing.
    fn start(width: u32, command: &str) -> Option<Tmux> {
        let tmux = Tmux(format!("{}-{width}", name()));
        let (x, y) = (width.to_string(), String::from("12"));
        let made = tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &x, "-y", &y, command]);
        if made.is_none() {
            crate::common::missing("tmux is not there");
        }
        made.map(|_| tmux)
    }

    fn run(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("tmux").args(["-L", &self.0]).args(words).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"]).unwrap()
    }

    fn press(&self, keys: &str) {
        self.run(&["send-keys", keys]).unwrap();
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

#[test]
fn in_a_terminal_of_any_width() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 20)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    for width in [120, 40] {
        let line =
            format!("{} top {name} --interval 0.1; echo ended $?; cat", env!("CARGO_BIN_EXE_zerobuffer"));
        let Some(tmux) = Tmux::start(width, &line) else { return };
        let row = || tmux.screen().lines().find(|line| line.starts_with(&name[..8])).map(str::to_owned);
        until("the buffer is shown", || row().is_some());
        until("frames are counted", || {
            writer.write(&[7; 1000]).unwrap();
            drop(reader.read().unwrap());
            row().is_some_and(|row| row.contains(" live "))
        });
        let screen = tmux.screen();
        assert!(screen.starts_with("1 buffers, ") && screen.contains("NAME"), "{screen}");
        assert_eq!(screen.contains("WRITER"), width == 120, "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= width as usize), "{screen}");
        tmux.press("Space");
        until("it is held", || tmux.screen().contains("(held)"));
        tmux.press("q");
        // The screen of before is back.
        until("it has ended", || tmux.screen().contains("ended 0"));
        assert!(!tmux.screen().contains("NAME"), "{}", tmux.screen());
    }
}

#[test]
fn keys_sort_and_colours_can_be_off_at_forty_columns() {
    let (first, second) = (name(), name());
    let _quiet = Reader::create(&first, BufferConfig::ring(1 << 16)).unwrap();
    let mut reader = Reader::create(&second, BufferConfig::ring(1 << 16)).unwrap();
    let mut writer = Writer::connect(&second).unwrap();
    let top = format!("{} top {first} {second} --interval 0.1", env!("CARGO_BIN_EXE_zerobuffer"));
    for (number, (before, after)) in
        [("", " --no-color"), ("NO_COLOR=1 ", ""), ("", "")].into_iter().enumerate()
    {
        // Each session has a name of its own, by its width.
        let width = 40 + u32::try_from(number).unwrap();
        let Some(tmux) = Tmux::start(width, &format!("{before}{top}{after}")) else { return };
        let order = || {
            let screen = tmux.screen();
            let rows =
                screen.lines().skip(2).filter_map(|line| line.split_whitespace().next().map(str::to_owned));
            rows.filter(|row| row.starts_with(&first[..8])).collect::<Vec<_>>()
        };
        // Names that are too long for the column end with dots.
        let is = |shown: &str, name: &str| name.starts_with(shown.trim_end_matches('…'));
        let mut shows = |what: &str, names: [&str; 2]| {
            until(what, || {
                let _ = writer.write(&[7; 100]);
                while reader.try_read().is_ok_and(|frame| frame.is_some()) {}
                let order = order();
                order.len() == 2 && is(&order[0], names[0]) && is(&order[1], names[1])
            });
        };
        shows("both are there", [&first, &second]);
        tmux.press("r");
        shows("the order is turned round", [&second, &first]);
        tmux.press("r");
        shows("and back", [&first, &second]);
        tmux.press("f");
        shows("the one with frames comes first", [&second, &first]);
        tmux.press("n");
        shows("by name", [&first, &second]);
        let colors = tmux.run(&["capture-pane", "-p", "-e"]).unwrap();
        assert!(tmux.screen().starts_with("2 buffers, 1 live, 0.0 MB/s"), "{}", tmux.screen());
        // Bold and dim are no colours.
        let is_colored = ["[38;5;2m", "[38;5;3m", "[38;5;6m"].iter().any(|code| colors.contains(code));
        assert_eq!(is_colored, number == 2, "{colors:?}");
        tmux.press("q");
    }
}

#[test]
fn ctrl_c_and_sigterm_give_the_terminal_back() {
    let line = format!(
        "{0} top --interval 0.1 & pid=$!; sleep 0.3; kill -TERM $pid; wait $pid; echo ended $?; stty -a | tr ' ' '\\n' | grep echo; cat",
        env!("CARGO_BIN_EXE_zerobuffer")
    );
    let Some(tmux) = Tmux::start(100, &line) else { return };
    until("it has ended", || tmux.screen().contains("ended 143"));
    until("keys are shown again", || tmux.screen().lines().any(|line| line.trim_end_matches(';') == "echo"));
    let line = format!("{} top; echo ended $?; cat", env!("CARGO_BIN_EXE_zerobuffer"));
    let Some(tmux) = Tmux::start(90, &line) else { return };
    until("it runs", || tmux.screen().contains("q quit"));
    tmux.press("C-c");
    until("it has ended", || tmux.screen().contains("ended 0"));
}

/// A process that outlives its terminal must not go on reading its end.
#[test]
fn it_ends_with_its_terminal() {
    let line = format!(
        "setsid -w {} top --interval 0.1 <$(tty) >$(tty) 2>&1 & echo started; cat",
        env!("CARGO_BIN_EXE_zerobuffer")
    );
    let Some(tmux) = Tmux::start(80, &line) else { return };
    until("it runs", || tmux.screen().contains("q quit"));
    let of_terminal = |pid: &str| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let terminal = std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap_or_default();
        words
            .starts_with(env!("CARGO_BIN_EXE_zerobuffer").as_bytes())
            .then(|| terminal.to_string_lossy().into_owned())
    };
    let tty = tmux.run(&["display-message", "-p", "#{pane_tty}"]).unwrap();
    let is_running = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        pids.filter_map(|pid| of_terminal(&pid)).any(|terminal| terminal.starts_with(tty.trim()))
    };
    assert!(is_running(), "{tty}");
    drop(tmux);
    until("it has ended", || !is_running());
}

#[test]
fn as_lines_of_json() {
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(1 << 16)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let top = start(&["top", &name, "--json", "--interval", "0.2", "--count", "3"]);
    std::thread::sleep(std::time::Duration::from_millis(100));
    for _ in 0..5 {
        writer.write(&[1; 10]).unwrap();
    }
    let text = top.finish().ok().text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let buffer = &lines[2]["buffers"][0];
    assert_eq!(
        (&buffer["name"], &buffer["frames"], &buffer["frames_waiting"]),
        (&name.into(), &5.into(), &5.into())
    );
    assert_eq!(buffer["state"], "live");
    assert_eq!(buffer["writer"]["pid"], std::process::id());
    assert!(lines[0]["time"].as_f64().unwrap() > 1.7e9);
    assert_eq!(lines[0]["buffers"][0]["frames_per_second"], Value::Null);

    let mut endless = start(&["top", "--json", "--interval", "1000"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(endless.is_running());
    endless.signal(Signal::INT);
    endless.wait().stopped(130, &["Ctrl-C"]);
    run(&["top"]).failed(2, &["no terminal", "--json", "zerobuffer ls"]);
}
