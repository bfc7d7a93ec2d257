//! Bridges as processes, on this machine or in two network namespaces, and the ends of streams.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zerobuffer::{BufferConfig, Error, Frame, Reader, Writer, WriterConfig};

/// Nothing here takes that long on an idle machine; only a hang reaches it.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// 1920x1080 RGB, with what stands before each picture.
pub(crate) const HD: usize = 1920 * 1080 * 3 / 2 + 24;
pub(crate) const RGB: usize = 1920 * 1080 * 3 + 24;
/// 3840x2160 RGB.
pub(crate) const UHD: usize = 3840 * 2160 * 3;

/// A buffer name that no other test uses.
pub(crate) fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}zb-bridge-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A port of the loopback that nobody has at the moment.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A bridge under way; killed if the test fails before it ends.
pub(crate) struct Bridge {
    child: Child,
    said: Arc<Mutex<String>>,
    what: String,
}

impl Bridge {
    pub(crate) fn start(arguments: &[&str]) -> Bridge {
        Bridge::start_in(None, arguments)
    }

    /// In a network namespace.
    pub(crate) fn start_in(namespace: Option<&str>, arguments: &[&str]) -> Bridge {
        let program = env!("CARGO_BIN_EXE_zerobuffer-bridge");
        let mut command = match namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
        };
        Bridge::spawn(&mut command, arguments).unwrap()
    }

    /// As another user; `None`: this one may not, and nobody requires it.
    pub(crate) fn start_as(user: u32, arguments: &[&str]) -> Option<Bridge> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerobuffer-bridge"));
        match Bridge::spawn(command.uid(user).gid(user), arguments) {
            Ok(bridge) => Some(bridge),
            Err(error) => {
                assert!(std::env::var_os("ZEROBUFFER_BRIDGE_NAMESPACES").is_none(), "{error}");
                println!("skipped: this user may not become another one");
                None
            }
        }
    }

    /// By another program, which becomes it.
    pub(crate) fn start_by(command: &mut Command, arguments: &[&str]) -> Bridge {
        Bridge::spawn(command, arguments).unwrap()
    }

    fn spawn(command: &mut Command, arguments: &[&str]) -> std::io::Result<Bridge> {
        let mut child = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let said = Arc::new(Mutex::new(String::new()));
        let (into, mut pipe) = (Arc::clone(&said), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Ok(Bridge { child, said, what: arguments.join(" ") })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the bridge has said so.
    pub(crate) fn says(&self, part: &str) {
        wait_for(&format!("`{}` says '{part}'", self.what), || self.said().contains(part), || self.said());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in good order; what it has said, the counts at its end among it.
    pub(crate) fn stop(mut self) -> String {
        signal(self.child.id(), "TERM");
        let code = self.wait();
        assert_eq!(code, Some(143), "{}: {}", self.what, self.said());
        self.said()
    }

    /// The exit code of a bridge that ends by itself, and what it has said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.wait();
        (code, self.said())
    }

    fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last.
                std::thread::sleep(Duration::from_millis(100));
                return status.code();
            }
            assert!(Instant::now() < until, "{} does not end: {}", self.what, self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn pause(&self) {
        signal(self.child.id(), "STOP");
    }

    pub(crate) fn resume(&self) {
        signal(self.child.id(), "CONT");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.what, self.said());
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Resident bytes of a process, at most so far.
pub(crate) fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool, why: impl Fn() -> String) {
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < until, "not within {LIMIT:?}: {what}: {}", why());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The number after a word of a bridge's last line.
pub(crate) fn count(said: &str, after: &str) -> u64 {
    let line =
        said.lines().rfind(|line| line.contains(after)).unwrap_or_else(|| panic!("no '{after}': {said}"));
    let before = line.split(after).next().unwrap();
    before
        .rsplit([' ', ','])
        .find(|word| !word.is_empty())
        .unwrap()
        .parse()
        .unwrap_or_else(|_| panic!("{line}"))
}

pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Fills a frame so that every byte of it depends on its number and its place.
pub(crate) fn fill(bytes: &mut [u8], number: u64) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for (at, word) in (0u64..).zip(words.iter_mut()) {
        *word = number
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(at.wrapping_mul(0x0101_0101_0101_0101))
            .to_le_bytes();
    }
    rest.fill(number as u8);
    if let [first, second, ..] = words {
        *first = number.to_le_bytes();
        *second = now().to_le_bytes();
    }
}

/// The number of a frame, every byte of which is right, and its age in nanoseconds.
pub(crate) fn check(bytes: &[u8]) -> (u64, u64) {
    let (words, rest) = bytes.as_chunks::<8>();
    let number = u64::from_le_bytes(words[0]);
    for (at, word) in (0u64..).zip(words).skip(2) {
        let right =
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(at.wrapping_mul(0x0101_0101_0101_0101));
        assert_eq!(u64::from_le_bytes(*word), right, "frame {number}, word {at} of {}", words.len());
    }
    assert!(rest.iter().all(|byte| *byte == number as u8), "frame {number}");
    (number, now().saturating_sub(u64::from_le_bytes(words[1])))
}

/// A writer of a buffer that a bridge has created, or will.
pub(crate) fn writer(name: &str) -> Writer {
    let config = WriterConfig::default().connect_timeout(LIMIT).write_timeout(LIMIT);
    Writer::connect_with(name, config).unwrap()
}

pub(crate) fn write(writer: &mut Writer, size: usize, number: u64) {
    let mut loan = writer.loan(size).unwrap();
    fill(&mut loan, number);
    loan.commit().unwrap();
}

/// A thread that writes frames `from` to `to`, with a pause before each.
pub(crate) fn write_all(
    name: &str,
    size: usize,
    numbers: std::ops::RangeInclusive<u64>,
    pace: Duration,
) -> std::thread::JoinHandle<Writer> {
    let name = name.to_owned();
    std::thread::spawn(move || {
        let mut writer = writer(&name);
        let start = Instant::now();
        for (count, number) in (0u32..).zip(numbers) {
            std::thread::sleep((start + pace * count).saturating_duration_since(Instant::now()));
            write(&mut writer, size, number);
        }
        writer
    })
}

/// The reader of a buffer with room for so many frames.
pub(crate) fn reader(name: &str, frames: usize, size: usize) -> Reader {
    let ring = frames as u64 * (size as u64 + 64);
    Reader::create(name, BufferConfig::ring(ring).metadata(4096)).unwrap()
}

/// The next frame. A writer that has left is waited for: another one comes.
pub(crate) fn next(reader: &mut Reader) -> Frame {
    let until = Instant::now() + LIMIT;
    loop {
        match reader.read_timeout(Duration::from_millis(200)) {
            Ok(Some(frame)) => return frame,
            Ok(None) => {}
            Err(Error::WriterGone { .. }) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < until, "no frame within {LIMIT:?}");
    }
}

/// Two network namespaces with a cable between them; they are removed with it.
pub(crate) struct Net {
    pub(crate) a: String,
    pub(crate) b: String,
}

pub(crate) const B: &str = "10.77.0.2";

impl Net {
    /// `None`: this user may not make any, and nobody requires it.
    pub(crate) fn new() -> Option<Net> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("zb{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net { a: format!("{mark}a"), b: format!("{mark}b") };
        if !ip(&["netns", "add", &net.a]) {
            assert!(std::env::var_os("ZEROBUFFER_BRIDGE_NAMESPACES").is_none(), "no network namespaces here");
            println!("skipped: this user may not make network namespaces");
            return None;
        }
        assert!(ip(&["netns", "add", &net.b]));
        let (a, b) = (net.a.as_str(), net.b.as_str());
        assert!(ip(&[
            "link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b
        ]));
        for (namespace, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            assert!(ip(&["-n", namespace, "address", "add", address, "dev", "cable"]));
            assert!(ip(&["-n", namespace, "link", "set", "cable", "up"]));
            assert!(ip(&["-n", namespace, "link", "set", "lo", "up"]));
        }
        Some(net)
    }

    pub(crate) fn cut(&self) {
        assert!(ip(&["-n", &self.a, "link", "set", "cable", "down"]));
    }

    pub(crate) fn mend(&self) {
        assert!(ip(&["-n", &self.a, "link", "set", "cable", "up"]));
    }

    /// Bits a second from A to B.
    pub(crate) fn limit(&self, rate: &str) {
        let words = [
            "netns", "exec", &self.a, "tc", "qdisc", "replace", "dev", "cable", "root", "tbf", "rate", rate,
            "burst", "256k", "latency", "20ms",
        ];
        assert!(ip(&words));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.a]);
        ip(&["netns", "del", &self.b]);
    }
}

fn ip(words: &[&str]) -> bool {
    Command::new("ip").args(words).status().is_ok_and(|status| status.success())
}

/// The two bridges of most tests: what `from` is filled with comes out of `to`.
pub(crate) struct Pair {
    pub(crate) send: Bridge,
    pub(crate) recv: Bridge,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) port: u16,
}

impl Pair {
    /// The reader of `to` has to be there, or to come.
    pub(crate) fn start(from: &str, to: &str, send: &[&str], recv: &[&str]) -> Pair {
        let port = port();
        let address = format!("127.0.0.1:{port}");
        let (out, into) = (format!("{from}=cam"), format!("cam={to}"));
        let recv = Bridge::start(&[&["recv", &into, "--listen", &address], recv].concat());
        let send = Bridge::start(&[&["send", &out, "--connect", &address], send].concat());
        Pair { send, recv, from: from.to_owned(), to: to.to_owned(), port }
    }
}
