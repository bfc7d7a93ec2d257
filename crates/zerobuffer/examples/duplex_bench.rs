//! Round trips of a duplex channel beside those of two plain buffers, two processes each.
//!
//! `cargo run --release -p zerobuffer --example duplex_bench [SIZE [COUNT]]`
use std::{
    env,
    error::Error,
    process::{Child, Command, ExitCode},
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Reader, Writer, WriterConfig,
    duplex::{Client, ClientConfig, Server, ServerConfig},
};

type Outcome<T> = Result<T, Box<dyn Error>>;
const PATIENCE: Duration = Duration::from_secs(20);
const RUNS: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("duplex_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["duplex-server", name, size] => serve(name, size.parse()?),
        ["plain-server", name, size] => reflect(name, size.parse()?),
        rest => {
            let size = rest.first().map_or(Ok(64), |word| word.parse())?;
            let count = rest.get(1).map_or(Ok(20_000), |word| word.parse())?;
            compare(size, count)
        }
    }
}

fn ring(size: usize) -> u64 {
    (size as u64 * 8).max(1 << 20)
}

fn compare(size: usize, count: usize) -> Outcome<()> {
    let mut ratios = Vec::new();
    for run in 0..RUNS {
        let name = format!("bench-{}-{run}", std::process::id());
        let plain = with_server("plain-server", &name, size, || ping(&name, size, count))?;
        let duplex = with_server("duplex-server", &name, size, || ask(&name, size, count))?;
        let ratio = duplex.as_secs_f64() / plain.as_secs_f64();
        println!("{size} bytes: plain p50 {plain:?}, duplex p50 {duplex:?}, ratio {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios.get(RUNS / 2).copied().unwrap_or_default());
    Ok(())
}

fn with_server<T>(role: &str, name: &str, size: usize, run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let mut child: Child = Command::new(env::current_exe()?).args([role, name, &size.to_string()]).spawn()?;
    let outcome = run();
    let ended = child.wait()?;
    if ended.success() { outcome } else { Err(format!("{role} ended: {ended}").into()) }
}

/// The median time of a round trip.
fn median(count: usize, mut round: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        round()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times.get(count / 2).copied().unwrap_or_default())
}

fn ask(name: &str, size: usize, count: usize) -> Outcome<Duration> {
    let config = ClientConfig::default().response_size(ring(size)).connect_timeout(PATIENCE);
    let client = Client::connect_with(name, config)?;
    let request = vec![7; size];
    median(count, || {
        let response = client.call(&request, PATIENCE)?;
        assert_eq!(response.data().len(), size);
        Ok(())
    })
}

fn serve(name: &str, size: usize) -> Outcome<()> {
    let config = ServerConfig::default().buffer(BufferConfig::ring(ring(size)).metadata(0)).persistent(false);
    let server = Server::new(name, config);
    server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?))?;
    server.wait(None);
    Ok(())
}

fn ping(name: &str, size: usize, count: usize) -> Outcome<Duration> {
    let mut answers = Reader::create(&format!("{name}-b"), BufferConfig::ring(ring(size)).metadata(0))?;
    let wait = WriterConfig::default().connect_timeout(PATIENCE);
    let mut writer = Writer::connect_with(&format!("{name}-a"), wait)?;
    let request = vec![7; size];
    median(count, || {
        writer.write(&request)?;
        assert_eq!(answers.read()?.len(), size);
        Ok(())
    })
}

fn reflect(name: &str, size: usize) -> Outcome<()> {
    let mut requests = Reader::create(&format!("{name}-a"), BufferConfig::ring(ring(size)).metadata(0))?;
    let wait = WriterConfig::default().connect_timeout(PATIENCE);
    let mut writer = Writer::connect_with(&format!("{name}-b"), wait)?;
    loop {
        match requests.read() {
            Ok(frame) => drop(writer.write(frame.data())?),
            Err(error) if error.is_peer_gone() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
