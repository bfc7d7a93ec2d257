//! `zerobuffer serve`: a program that filters standard input to standard output answers a channel's requests.
use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use zerobuffer::BufferConfig;
use zerobuffer::duplex::{BoxError, Failure, ProcessingMode, Responder, Server, ServerConfig};

use super::programs::Programs;
use crate::fail::Fail;
use crate::{say, signals, size};

/// How long requests that were sent, and then programs that were asked to end, are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Answer the requests of the duplex channel NAME with a program: each request is its standard input, and what it
/// prints is the response.
///
/// The program is started once per request, by `sh -c`. If it fails or prints nothing, there is no response, and a
/// line on stderr says so. Serves one client after the other until stopped; programs that then still run after two
/// seconds are ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer serve shout --exec 'tr a-z A-Z'")]
pub(crate) struct Args {
    /// The channel's name.
    name: String,
    /// The program, as a shell understands it.
    #[arg(long, value_name = "COMMAND")]
    exec: String,
    /// Run so many programs at once; responses still go out in request order.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    workers: NonZeroUsize,
    /// Bytes of the request ring, for instance 64MiB.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive, default_value = "16MiB")]
    ring: u64,
    /// Bytes of the client's metadata block.
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "4096")]
    metadata: u64,
    /// Let processes of other Windows sessions find the request buffer, which needs the privilege `SeCreateGlobalPrivilege`;
    /// elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let buffer = BufferConfig::ring(args.ring).metadata(args.metadata).global(args.global);
    let mut config = ServerConfig::default().buffer(buffer).on_error(|failure| {
        match failure {
            // Every call ends like that.
            Failure::ClientGone { .. } => {}
            _ => say::error(&failure.to_string()),
        }
    });
    if args.workers.get() > 1 {
        config = config.mode(ProcessingMode::ThreadPool(args.workers));
    }
    let server = Server::new(&args.name, config);
    let program = args.exec.clone();
    let programs = Arc::new(Programs::default());
    let running = Arc::clone(&programs);
    server.start(move |request, mut response| answer(&running, &program, request.data(), &mut response))?;
    say::note(&format!("serving channel {} with: {}", args.name, args.exec));
    while !signals::sleep(Duration::from_hours(1)) {}
    if !server.drain(GRACE) {
        programs.end(GRACE);
        // A handler may still have to say how its program ended.
        server.wait(Some(GRACE));
    }
    Err(signals::interrupted(&format!("channel {} is closed", args.name)))
}

fn answer(
    programs: &Programs,
    program: &str,
    request: &[u8],
    response: &mut Responder,
) -> Result<(), BoxError> {
    let mut command = Command::new("sh");
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let (child, (stdin, stdout)) = programs
        .start(&mut command, |child| (child.stdin.take(), child.stdout.take()))
        .map_err(|error| format!("cannot start sh: {error}"))?;
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        // Both at once: a program may print before it has read everything, or read nothing at all.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(request)));
        stdout.map(|mut stdout| stdout.read_to_end(&mut output)).transpose().map(drop)
    })?;
    let status = programs.wait(child)?;
    if !status.success() {
        return Err(format!("'{program}' ended with {status}").into());
    }
    if output.is_empty() {
        return Err(format!("'{program}' printed nothing, and a response has at least one byte").into());
    }
    response.write(&output)?;
    Ok(())
}
