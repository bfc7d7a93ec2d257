//! The bridge from ring to ring beside the engine's own publish and subscribe, and plain TCP: the
//! same bytes over the loopback, in turns. `cargo xtask bench bridge` builds and runs it.
//!
//! Each end is a process of its own. The source copies a picture into the memory that it sends
//! from. The sink has each frame in one piece, and reads a byte of each of its cache lines.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that meets the unexpected panics, with parts of the program"
)]

// The very settings of the bridge.
#[path = "../src/engine.rs"]
mod engine;
#[path = "../src/fail.rs"]
mod fail;
#[path = "../src/say.rs"]
mod say;

use std::io::{BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser as _;
use zenoh::handlers::FifoChannel;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Locality;
use zenoh::{Session, Wait as _};
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig};

use engine::Side;

/// 1920x1080 NV12, with what stands before each picture.
const SIZE: usize = 1920 * 1080 * 3 / 2 + 24;
const LIMIT: Duration = Duration::from_secs(120);
const KEY: &str = "speed/frames";
/// The kernel counts processor time in these.
const TICKS: f64 = 100.0;

#[derive(Debug, clap::Parser)]
struct Options {
    /// Frames of a run that are measured; a tenth of them goes before.
    #[arg(long, default_value = "600")]
    frames: u64,
    /// Runs of each system, one after the other.
    #[arg(long, default_value = "7")]
    rounds: usize,
    /// One short run of each: whether it works.
    #[arg(long)]
    quick: bool,
    /// What cargo gives to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(hide = true)]
    end: Vec<String>,
}

#[derive(clap::Parser)]
struct Engine {
    #[command(flatten)]
    options: engine::Options,
}

fn main() {
    let options = Options::parse();
    let words: Vec<&str> = options.end.iter().map(String::as_str).collect();
    match words[..] {
        [] => compare(&options),
        [system, "source", place] => source(system, place, options.frames),
        [system, "sink", place] => sink(system, place, options.frames),
        _ => panic!("{words:?}"),
    }
}

fn compare(options: &Options) {
    let (frames, rounds) = if options.quick { (40, 1) } else { (options.frames, options.rounds) };
    let systems = ["bridge", "engine", "tcp"];
    let mut runs: [Vec<Run>; 3] = Default::default();
    for round in 1..=rounds {
        for (system, runs) in systems.iter().zip(&mut runs) {
            let run = run(system, frames);
            println!(
                "round {round}, {system}: {:.0} frames/s, {:.2} ms of processor time a frame",
                run.rate, run.processor
            );
            runs.push(run);
        }
    }
    println!("\n{frames} frames of {SIZE} bytes, {rounds} runs each; medians, and from least to most");
    println!("| system | frames/s | GB/s | ms of processor time a frame, all processes |");
    println!("|---|---|---|---|");
    for (system, runs) in systems.iter().zip(&runs) {
        let (rate, processor) = (of(runs, |run| run.rate), of(runs, |run| run.processor));
        println!(
            "| {system} | {:.0} ({:.0} to {:.0}) | {:.2} | {:.2} ({:.2} to {:.2}) |",
            rate[1],
            rate[0],
            rate[2],
            rate[1] * SIZE as f64 / 1e9,
            processor[1],
            processor[0],
            processor[2]
        );
    }
    let [bridge, engine, tcp] = runs.each_ref().map(|runs| of(runs, |run| run.rate)[1]);
    let [spends, engine_spends, _] = runs.each_ref().map(|runs| of(runs, |run| run.processor)[1]);
    let own = of(&runs[0], |run| run.bridges)[1];
    let judge = |is_met: bool| if is_met { "met" } else { "missed" };
    println!("\nthe two bridges alone: {own:.2} ms of processor time a frame");
    println!(
        "rate of the bridge: {:.2} of the engine's, promised 0.90: {}; {:.2} of plain TCP's",
        bridge / engine,
        judge(bridge >= 0.9 * engine),
        bridge / tcp
    );
    println!(
        "processor time with the bridge: {:.2} of the engine's, promised 1.15: {}; of the two bridges alone: {:.2}",
        spends / engine_spends,
        judge(spends <= 1.15 * engine_spends),
        own / engine_spends
    );
}

/// Least, median and most.
fn of(runs: &[Run], what: impl Fn(&Run) -> f64) -> [f64; 3] {
    let mut values: Vec<f64> = runs.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

struct Run {
    rate: f64,
    /// Milliseconds a frame, of all processes and of the bridges among them.
    processor: f64,
    bridges: f64,
}

/// Killed if the run fails.
struct Process(Child);

impl Process {
    /// Ends in order, so nothing stays in shared memory.
    fn finish(mut self) {
        // A bridge ends at a signal. An end has an input, which `wait` closes.
        if self.0.stdin.is_none() {
            assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        }
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(system: &str, frames: u64) -> Run {
    let address = format!("127.0.0.1:{}", port());
    // The mark by which a step finds what it leaves behind.
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    let name = format!("{mark}zb-speed-{}-{}", std::process::id(), port());
    let (from, to) = (format!("{name}-from"), format!("{name}-to"));
    let is_bridge = system == "bridge";
    let mut sink = end(system, "sink", if is_bridge { &to } else { &address }, frames);
    let mut says = BufReader::new(sink.0.stdout.take().unwrap());
    assert_eq!(line(&mut says), "ready");
    let mut bridges = Vec::new();
    if is_bridge {
        bridges.push(bridge(&["recv", &format!("cam={to}"), "--listen", &address]));
        bridges.push(bridge(&["send", &format!("{from}=cam"), "--connect", &address]));
    }
    let source = end(system, "source", if is_bridge { &from } else { &address }, frames);
    let spent = |processes: &[&Process]| processes.iter().map(|process| ticks(process.0.id())).sum::<u64>();
    let (ends, between) = ([&sink, &source], bridges.iter().collect::<Vec<_>>());
    assert_eq!(line(&mut says), "begins");
    let before = (spent(&ends), spent(&between));
    let said = line(&mut says);
    let after = (spent(&ends), spent(&between));
    let seconds: f64 = said.strip_prefix("took ").unwrap().parse().unwrap();
    let per_frame = |ticks: u64| ticks as f64 / TICKS * 1000.0 / frames as f64;
    let between = per_frame(after.1 - before.1);
    bridges.into_iter().chain([source, sink]).for_each(Process::finish);
    Run {
        rate: frames as f64 / seconds,
        processor: per_frame(after.0 - before.0) + between,
        bridges: between,
    }
}

/// This program again.
fn end(system: &str, role: &str, place: &str, frames: u64) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--frames", &frames.to_string(), system, role, place]);
    // It ends once nobody holds its input any more.
    Process(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
}

fn bridge(words: &[&str]) -> Process {
    Process(Command::new(env!("CARGO_BIN_EXE_zerobuffer-bridge")).arg("-q").args(words).spawn().unwrap())
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Processor time of a process, its threads included.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

/// The other end and the parent are done with it when its input ends.
fn await_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Frames before those that are measured.
fn first(frames: u64) -> u64 {
    (frames / 10).max(8)
}

fn open(words: &[&str], side: Side) -> Session {
    let options = Engine::parse_from([&["engine"], words].concat()).options;
    engine::open(&options, side, 64 << 20).unwrap()
}

fn source(system: &str, place: &str, frames: u64) {
    let picture = vec![7; SIZE];
    let all = frames + first(frames);
    match system {
        "bridge" => {
            let config = WriterConfig::default().connect_timeout(LIMIT).write_timeout(LIMIT);
            let mut writer = Writer::connect_with(place, config).unwrap();
            for _ in 0..all {
                writer
                    .loan(SIZE)
                    .and_then(|mut loan| {
                        loan.copy_from_slice(&picture);
                        loan.commit()
                    })
                    .unwrap();
            }
            await_end();
        }
        "engine" => {
            let session = open(&["--connect", place], Side::Connects);
            // As a lane of the bridge.
            let publisher = session
                .declare_publisher(KEY)
                .congestion_control(CongestionControl::Block)
                .priority(Priority::Data)
                .allowed_destination(Locality::Remote)
                .wait()
                .unwrap();
            while !publisher.matching_status().wait().unwrap().matching() {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Memory that the engine has sent is used again, as that of a ring.
            let (back, free) = std::sync::mpsc::channel();
            for _ in 0..8 {
                back.send(vec![0; SIZE]).unwrap();
            }
            for _ in 0..all {
                let mut bytes: Vec<u8> = free.recv().unwrap();
                bytes.copy_from_slice(&picture);
                publisher.put(Bytes::from_owner(Lent { bytes, back: back.clone() })).wait().unwrap();
            }
            await_end();
        }
        "tcp" => {
            let mut stream = TcpStream::connect(place).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut bytes = vec![0; SIZE];
            for _ in 0..all {
                bytes.copy_from_slice(&picture);
                let length = (SIZE as u64).to_le_bytes();
                let sent = stream.write_vectored(&[IoSlice::new(&length), IoSlice::new(&bytes)]).unwrap();
                assert!(sent >= 8);
                stream.write_all(&bytes[sent - 8..]).unwrap();
            }
            await_end();
        }
        other => panic!("{other}"),
    }
}

struct Lent {
    bytes: Vec<u8>,
    back: std::sync::mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _ = self.back.send(std::mem::take(&mut self.bytes));
    }
}

fn sink(system: &str, place: &str, frames: u64) {
    match system {
        "bridge" => {
            let config = BufferConfig::ring(4 * (SIZE as u64 + 64)).metadata(4096);
            let mut reader = Reader::create(place, config).unwrap();
            say("ready");
            measure(frames, || touch(&reader.read_timeout(LIMIT).unwrap().unwrap()));
            await_end();
        }
        "engine" => {
            let session = open(&["--listen", place], Side::Listens);
            let subscriber = session
                .declare_subscriber(KEY)
                .allowed_origin(Locality::Remote)
                .with(FifoChannel::new(4))
                .wait()
                .unwrap();
            say("ready");
            let mut frame = vec![0; SIZE];
            measure(frames, || {
                let sample = subscriber.recv_timeout(LIMIT).unwrap().unwrap();
                let mut room = &mut frame[..];
                for slice in sample.payload().slices() {
                    let (target, rest) = room.split_at_mut(slice.len());
                    target.copy_from_slice(slice);
                    room = rest;
                }
                assert!(room.is_empty());
                touch(&frame);
            });
            await_end();
        }
        "tcp" => {
            let listener = TcpListener::bind(place).unwrap();
            say("ready");
            let (mut stream, _) = listener.accept().unwrap();
            let mut frame = vec![0; SIZE];
            measure(frames, || {
                let mut length = [0; 8];
                stream.read_exact(&mut length).unwrap();
                assert_eq!(u64::from_le_bytes(length), SIZE as u64);
                stream.read_exact(&mut frame).unwrap();
                touch(&frame);
            });
            await_end();
        }
        other => panic!("{other}"),
    }
}

/// Tells the parent when the measured frames begin, and how long they took.
fn measure(frames: u64, mut take: impl FnMut()) {
    (0..first(frames)).for_each(|_| take());
    say("begins");
    let begun = Instant::now();
    (0..frames).for_each(|_| take());
    say(&format!("took {}", begun.elapsed().as_secs_f64()));
}

/// A byte of each cache line.
fn touch(frame: &[u8]) {
    let sum = frame.iter().step_by(64).fold(0u64, |sum, byte| sum + u64::from(*byte));
    assert_eq!(std::hint::black_box(sum), 7 * frame.len().div_ceil(64) as u64);
}
