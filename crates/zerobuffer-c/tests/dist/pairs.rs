//! Two processes, one of them in C: random sizes, every byte checked, kills of either end.

use crate::{
    build::{Link, dist, name, program},
    process::Process,
};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Error, Reader, Writer, WriterConfig,
    duplex::{Client, ClientConfig, Server, ServerConfig},
    observe,
};

const RING: u64 = 256 * 1024;
const LARGEST: usize = 60_000;
const FRAMES: u64 = 3000;
const LONG: Duration = Duration::from_secs(30);

fn pair(dist: &Path) -> PathBuf {
    program(dist, "gcc", "pair.c", &["-std=c11", "-O2"], Link::Shared)
}

fn receiver(program: &Path, name: &str, lives: u32) -> Process {
    let mut command = Command::new(program);
    let mut receiver = Process::start(command.args(["recv", name, &RING.to_string(), &lives.to_string()]));
    assert_eq!(receiver.line(), "ready");
    receiver
}

fn sender(program: &Path, name: &str, frames: u64, largest: usize) -> Process {
    let mut command = Command::new(program);
    Process::start(command.args(["send", name, &frames.to_string(), &largest.to_string(), "7"]))
}

fn pattern(sequence: u64, size: usize) -> Vec<u8> {
    let first = sequence.wrapping_mul(131);
    (0..size as u64).map(|at| first.wrapping_add(at) as u8).collect()
}

fn sizes() -> impl Iterator<Item = usize> {
    let mut state = 12_345_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (state >> 33) as usize % LARGEST
    })
}

/// The number of the last frame that anybody has published.
fn last(name: &str) -> u64 {
    observe::inspect(name).map_or(0, |info| info.last_sequence)
}

fn wait_for_frames(name: &str, before: u64) {
    let deadline = Instant::now() + LONG;
    while last(name) <= before {
        assert!(Instant::now() < deadline, "nothing is written to {name}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a writer, and kills it some time after its first frame.
fn kill_later(name: &str, number: u64, start: impl FnOnce() -> Process) {
    let before = last(name);
    let mut writer = start();
    wait_for_frames(name, before);
    std::thread::sleep(Duration::from_millis(10 + number * 37));
    writer.kill();
}

#[test]
fn rust_writes_to_c() {
    let Some(dist) = dist() else { return };
    let (name, program) = (name("rust-c"), pair(&dist));
    let mut receiver = receiver(&program, &name, 1);
    let mut writer = Writer::connect(&name).unwrap();
    for (sequence, size) in (1..=FRAMES).zip(sizes()) {
        assert_eq!(writer.write(&pattern(sequence, size)).unwrap().sequence(), Some(sequence));
    }
    writer.close().unwrap();
    assert_eq!(receiver.line(), format!("gone {FRAMES}"));
    receiver.ends();
}

#[test]
fn c_writes_to_rust() {
    let Some(dist) = dist() else { return };
    let name = name("c-rust");
    let mut reader = Reader::create(&name, BufferConfig::ring(RING)).unwrap();
    let sender = sender(&pair(&dist), &name, FRAMES, LARGEST);
    for sequence in 1..=FRAMES {
        let frame = reader.read_timeout(LONG).unwrap().unwrap();
        assert_eq!((frame.sequence(), frame.data()), (sequence, &pattern(sequence, frame.len())[..]));
    }
    assert!(matches!(reader.read_timeout(LONG), Err(Error::WriterGone { .. })));
    sender.ends();
}

#[test]
fn killed_writers_in_c_are_succeeded() {
    let Some(dist) = dist() else { return };
    let (name, program) = (name("kills"), pair(&dist));
    let mut receiver = receiver(&program, &name, 6);
    for kill in 0..5 {
        kill_later(&name, kill, || sender(&program, &name, 0, LARGEST));
        assert!(receiver.line().starts_with("gone "));
    }
    // The last one is of another language.
    let config = WriterConfig::default().connect_timeout(LONG);
    let mut writer = Writer::connect_with(&name, config).unwrap();
    let sequence = writer.next_sequence();
    writer.write(&pattern(sequence, 1000)).unwrap();
    writer.close().unwrap();
    let last: u64 = receiver.line().trim_start_matches("gone ").parse().unwrap();
    assert_eq!(last, sequence, "no frame was lost, none came twice");
    receiver.ends();
}

#[test]
fn a_writer_in_c_learns_of_its_readers_death() {
    let Some(dist) = dist() else { return };
    let (name, program) = (name("reader-dies"), pair(&dist));
    let mut receiver = receiver(&program, &name, 1);
    let mut sender = sender(&program, &name, 0, LARGEST);
    wait_for_frames(&name, 0);
    receiver.kill();
    assert!(sender.line().starts_with("gone "));
    sender.ends();
    // Its name is taken over, and cleaned.
    drop(Reader::create(&name, BufferConfig::ring(RING)).unwrap());
}

#[test]
fn requests_go_both_ways_between_c_and_rust() {
    let Some(dist) = dist() else { return };
    let (channel, program) = (name("calls"), pair(&dist));
    let server = Server::new(&channel, ServerConfig::default());
    server
        .start_mutable(|request| {
            request.data_mut().iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
            Ok(())
        })
        .unwrap();
    let mut caller = Process::start(Command::new(&program).args(["call", &channel, "500", "20000", "3"]));
    assert_eq!(caller.line(), "answered");
    caller.ends();
    assert!(server.stop());

    let mut serving = Process::start(Command::new(&program).args(["serve", &channel]));
    assert_eq!(serving.line(), "ready");
    let client = Client::connect_with(&channel, ClientConfig::default().connect_timeout(LONG)).unwrap();
    for (sequence, size) in (1..=500).zip(sizes()) {
        let response = client.call(&pattern(sequence, size), LONG).unwrap();
        let expected: Vec<u8> = pattern(sequence, size).iter().map(|byte| byte.wrapping_add(1)).collect();
        assert_eq!(response.data(), expected);
    }
    client.close().unwrap();
    serving.ends();
}

/// The command: `recv` writes payloads one after the other to its standard output.
#[test]
fn the_command_receives_from_c() {
    let (Some(dist), Some(command)) = (dist(), env::var_os("ZEROBUFFER_COMMAND")) else { return };
    let name = name("command");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("from-c.raw");
    let mut receiver = Command::new(&command);
    let receiver = Process::start(receiver.args(["recv", &name, "--ring", "256KiB", "--output"]).arg(&file));
    let sender = sender(&pair(&dist), &name, 300, 5000);
    sender.ends();
    receiver.ends();
    let bytes = std::fs::read(&file).unwrap();
    // The sizes are those of pair.c.
    let mut state = 7_u64;
    let mut at = 0;
    for sequence in 1..=300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = 1 + (state >> 33) as usize % 5000;
        assert_eq!(bytes[at..at + size], pattern(sequence, size), "frame {sequence}");
        at += size;
    }
    assert_eq!(at, bytes.len());
}

const PYTHON_READS: &str = "
import sys, zerobuffer
reader = zerobuffer.Reader(sys.argv[1], zerobuffer.BufferConfig(1024, 262144))
print('ready', flush=True)
for sequence in range(1, int(sys.argv[2]) + 1):
    frame = reader.read_frame(timeout=30.0)
    data = bytes(frame.data)
    assert frame.sequence == sequence
    first = sequence * 131
    assert data == bytes((first + at) & 255 for at in range(len(data))), sequence
    reader.release_frame(frame)
reader.close()
print('read', flush=True)
";

const PYTHON_WRITES: &str = "
import sys, zerobuffer
writer = zerobuffer.Writer(sys.argv[1])
for sequence in range(1, int(sys.argv[2]) + 1):
    size = 1 + sequence * 7919 % 3000
    writer.write_frame(bytes((sequence * 131 + at) & 255 for at in range(size)))
writer.close()
";

/// Writes until it is killed, or its reader is gone; goes on where its predecessor was.
const PYTHON_WRITES_ON: &str = "
import sys, zerobuffer
writer = zerobuffer.Writer(sys.argv[1], timeout=30.0)
try:
    while True:
        sequence = writer._sequence_number
        size = 1 + sequence * 7919 % 3000
        writer.write_frame(bytes((sequence * 131 + at) & 255 for at in range(size)))
except zerobuffer.ReaderDeadException:
    print('gone', flush=True)
";

/// Reads until so many writers have gone, and checks every byte.
const PYTHON_READS_ON: &str = "
import sys, zerobuffer
reader = zerobuffer.Reader(sys.argv[1], zerobuffer.BufferConfig(1024, 262144))
print('ready', flush=True)
last = 0
for life in range(int(sys.argv[2])):
    assert reader.is_writer_connected(30000)
    try:
        while True:
            frame = reader.read_frame(timeout=30.0)
            data = bytes(frame.data)
            assert frame.sequence == last + 1, (frame.sequence, last)
            last = frame.sequence
            assert data == bytes((last * 131 + at) & 255 for at in range(len(data))), last
            reader.release_frame(frame)
    except zerobuffer.WriterDeadException:
        print('gone', last, flush=True)
reader.close()
";

/// The languages that this library speaks to, each as a program of its own.
#[derive(Clone, Copy, Debug)]
enum Language {
    C,
    Rust,
    Python,
    CSharp,
}

/// What each language's ends are started with.
struct Ends {
    c: PathBuf,
    dist: PathBuf,
    python: Option<OsString>,
    csharp: Option<OsString>,
}

impl Ends {
    fn new() -> Option<Self> {
        let dist = dist()?;
        let of = |variable: &str| {
            let found = env::var_os(variable);
            if found.is_none() {
                println!("skipped: {variable} is not set");
            }
            found
        };
        let (python, csharp) = (of("ZEROBUFFER_TEST_OWN_PYTHON"), of("ZEROBUFFER_CSHARP"));
        Some(Self { c: pair(&dist), dist, python, csharp })
    }

    fn languages(&self) -> Vec<Language> {
        let mut languages = vec![Language::C, Language::Rust];
        languages.extend(self.python.is_some().then_some(Language::Python));
        languages.extend(self.csharp.is_some().then_some(Language::CSharp));
        languages
    }

    /// Says "ready", and "gone" after the last frame of each of so many writers. It checks every
    /// byte, and that no frame is lost or comes twice.
    fn reader(&self, language: Language, name: &str, lives: usize) -> Process {
        let lives = lives.to_string();
        let mut reader = match language {
            Language::C => {
                Process::start(Command::new(&self.c).args(["recv", name, &RING.to_string(), &lives]))
            }
            Language::Rust => rust_end(&format!("read {name} {lives}")),
            Language::Python => self.python(PYTHON_READS_ON, name, &lives),
            Language::CSharp => self.csharp(&["follow", name, &lives]),
        };
        reader.says("ready");
        reader
    }

    /// Writes until it is killed, or until its reader is; then it says "gone".
    fn writer(&self, language: Language, name: &str) -> Process {
        match language {
            Language::C => sender(&self.c, name, 0, 5000),
            Language::Rust => rust_end(&format!("write {name} 0")),
            Language::Python => self.python(PYTHON_WRITES_ON, name, "0"),
            Language::CSharp => self.csharp(&["on", name, "0"]),
        }
    }

    fn python(&self, script: &str, name: &str, count: &str) -> Process {
        Process::start(Command::new(self.python.as_ref().unwrap()).args(["-c", script, name, count]))
    }

    fn csharp(&self, words: &[&str]) -> Process {
        let mut mono = Command::new("mono");
        mono.current_dir(self.csharp.as_ref().unwrap()).arg("Checks.exe").args(words);
        mono.env("ZEROBUFFER_NATIVE_LIBRARY", self.dist.join("lib/libzerobuffer.so.2.0.0"));
        Process::start(&mut mono)
    }
}

const RUST_END: &str = "ZEROBUFFER_TEST_RUST_END";

/// This program, of which another process is one end.
fn rust_end(words: &str) -> Process {
    let mut test = Command::new(env::current_exe().unwrap());
    Process::start(test.args(["--exact", "pairs::an_end_in_rust", "--nocapture"]).env(RUST_END, words))
}

/// One end for the tests below, in a process that can be killed.
#[test]
fn an_end_in_rust() {
    let Ok(words) = env::var(RUST_END) else { return };
    let [what, name, lives] = *words.split(' ').collect::<Vec<_>>() else { panic!("{words}") };
    if what == "write" {
        let mut writer = Writer::connect_with(name, WriterConfig::default().connect_timeout(LONG)).unwrap();
        let gone = sizes().find_map(|size| {
            let sequence = writer.next_sequence();
            writer.write(&pattern(sequence, size)).err()
        });
        assert!(matches!(gone, Some(Error::ReaderGone { .. })), "{gone:?}");
        println!("gone");
        return;
    }
    let mut reader = Reader::create(name, BufferConfig::ring(RING)).unwrap();
    println!("ready");
    let mut last = 0;
    for _ in 0..lives.parse::<u32>().unwrap() {
        assert!(reader.wait_for_writer(LONG).unwrap());
        let gone = loop {
            match reader.read_timeout(LONG) {
                Ok(frame) => {
                    let frame = frame.unwrap();
                    last += 1;
                    assert_eq!((frame.sequence(), frame.data()), (last, &pattern(last, frame.len())[..]));
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(gone, Error::WriterGone { .. }), "{gone}");
        println!("gone {last}");
    }
}

#[test]
fn a_killed_writer_of_each_language_is_succeeded_for_a_reader_of_each() {
    let Some(ends) = Ends::new() else { return };
    let languages = ends.languages();
    for &reading in &languages {
        let name = name(&format!("writers-die-{reading:?}"));
        let mut reader = ends.reader(reading, &name, languages.len());
        for (number, &writing) in (0..).zip(&languages) {
            kill_later(&name, number, || ends.writer(writing, &name));
            reader.says("gone");
        }
        reader.ends();
    }
}

#[test]
fn a_writer_of_each_language_learns_that_a_reader_of_each_was_killed() {
    let Some(ends) = Ends::new() else { return };
    let name = name("readers-die");
    for reading in ends.languages() {
        for writing in ends.languages() {
            let mut reader = ends.reader(reading, &name, 1);
            let mut writer = ends.writer(writing, &name);
            wait_for_frames(&name, 0);
            reader.kill();
            writer.says("gone");
            writer.ends();
        }
    }
    drop(Reader::create(&name, BufferConfig::ring(RING)).unwrap());
}

/// The published implementation, and the native one if it was built.
#[test]
fn python_and_c_stream_both_ways() {
    let Some(dist) = dist() else { return };
    let program = pair(&dist);
    for variable in ["ZEROBUFFER_TEST_OLD_PYTHON", "ZEROBUFFER_TEST_OWN_PYTHON"] {
        let Some(python) = env::var_os(variable) else {
            println!("skipped: {variable} is not set");
            continue;
        };
        let name = name("python");
        let mut reading = Command::new(&python);
        let mut reading = Process::start(reading.args(["-c", PYTHON_READS, &name, "400"]));
        assert_eq!(reading.line(), "ready");
        let sender = sender(&program, &name, 400, 3000);
        assert_eq!(reading.line(), "read");
        reading.ends();
        sender.ends();

        let mut receiver = receiver(&program, &name, 1);
        Process::start(Command::new(&python).args(["-c", PYTHON_WRITES, &name, "400"])).ends();
        assert_eq!(receiver.line(), "gone 400");
        receiver.ends();
    }
}

#[test]
fn csharp_streams_to_c_rust_and_python() {
    let Some(ends) = Ends::new().filter(|ends| ends.csharp.is_some()) else { return };
    let (program, csharp) = (&ends.c, |words: &[&str]| ends.csharp(words));
    let name = name("csharp");
    let mut receiving = csharp(&["recv", &name, "400"]);
    assert_eq!(receiving.line(), "ready");
    let from_c = sender(program, &name, 400, 5000);
    assert_eq!(receiving.line(), "read");
    receiving.ends();
    from_c.ends();

    let mut to_c = receiver(program, &name, 1);
    csharp(&["send", &name, "400"]).ends();
    assert_eq!(to_c.line(), "gone 400");
    to_c.ends();

    // A killed one is noticed, with all frames that it has published.
    let mut reader = Reader::create(&name, BufferConfig::ring(RING)).unwrap();
    let mut sending = csharp(&["send", &name, "1000000"]);
    for sequence in 1..=200 {
        let frame = reader.read_timeout(LONG).unwrap().unwrap();
        assert_eq!(frame.data(), &pattern(sequence, frame.len())[..]);
    }
    sending.kill();
    let gone = loop {
        match reader.read_timeout(LONG) {
            Ok(frame) => drop(frame.unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, Error::WriterGone { .. }), "{gone}");
    drop(reader);

    let Some(python) = env::var_os("ZEROBUFFER_TEST_OLD_PYTHON") else { return };
    let mut reading = Command::new(python);
    let mut reading = Process::start(reading.args(["-c", PYTHON_READS, &name, "100"]));
    assert_eq!(reading.line(), "ready");
    csharp(&["send", &name, "100"]).ends();
    assert_eq!(reading.line(), "read");
    reading.ends();
    // The published implementation leaves its semaphores: the next reader of the name removes them.
    drop(Reader::create(&name, BufferConfig::ring(RING)).unwrap());
}

#[test]
fn the_examples_run() {
    let Some(dist) = dist() else { return };
    let example = |compiler, source, flags: &[&str]| {
        program(&dist, compiler, &format!("../../../../examples/{source}"), flags, Link::Shared)
    };
    let name = name("examples");
    let mut display = Process::start(Command::new(example("gcc", "c/display.c", &["-std=c99"])).arg(&name));
    Process::start(Command::new(example("gcc", "c/camera.c", &["-std=c99"])).arg(&name)).ends();
    assert_eq!(display.line(), "100 pictures, 30720000 bytes");
    display.ends();
    match env::var("ZEROBUFFER_C_OPENCV") {
        Ok(flags) => opencv(&dist, &flags),
        Err(_) => println!("skipped: OpenCV for C++ is not on this machine"),
    }
    let mut service =
        Process::start(Command::new(example("g++", "cpp/service.cpp", &["-std=c++17"])).arg(&name));
    assert_eq!(service.line(), "50 pictures inverted");
    service.ends();
}

fn opencv(dist: &Path, flags: &str) {
    let flags: Vec<&str> = std::iter::once("-std=c++17").chain(flags.split_whitespace()).collect();
    let [viewer, camera] = ["viewer", "camera"].map(|name| {
        program(dist, "g++", &format!("../../../../examples/cpp/opencv_{name}.cpp"), &flags, Link::Shared)
    });
    let name = name("opencv");
    let mut viewer = Process::start(Command::new(viewer).arg(&name));
    Process::start(Command::new(camera).arg(&name)).ends();
    assert_eq!(viewer.line(), "60 pictures, a circle in 60");
    viewer.ends();
}
