//! `zerobuffer serve`: a program that filters standard input to standard output answers a channel's
//! requests.
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use zerobuffer::duplex::{Failure, ProcessingMode, Server, ServerConfig};
use zerobuffer::{BufferConfig, Owner};

use super::answer::{self, Limits};
use super::channel::{self, Role};
use super::programs::Programs;
use super::recv::{parse_mode, with_mode};
use crate::fail::Fail;
use crate::{say, signals, size, time};

/// How long requests that were sent, and then programs that were asked to end, are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Answer the requests of the duplex channel NAME with a program: each request is its standard
/// input, and what it prints is the response.
///
/// The program is started once per request, by `sh -c`. If it fails, prints nothing or prints more
/// than a response can carry, the caller learns so at once. A line on stderr says it here. It is
/// ended when it runs for longer than --timeout, and when its caller has gone. Serves one client
/// after the other, or several at a time with --clients, until stopped. Programs that then still
/// run after two seconds are ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer serve shout --exec 'tr a-z A-Z'")]
pub(crate) struct Args {
    /// The channel's name.
    name: String,
    /// The program, as a shell understands it.
    #[arg(long, value_name = "COMMAND")]
    exec: String,
    /// End a program that runs for longer than this [default: only when its caller has gone].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse_positive)]
    timeout: Option<Duration>,
    /// Serve so many clients at the same time, each with rings of its own [default: one client
    /// after the other].
    #[arg(long, value_name = "COUNT")]
    clients: Option<NonZeroUsize>,
    /// Run so many programs at once; each client still gets its responses in request order
    /// [default: as many as --clients, or 1].
    #[arg(long, value_name = "COUNT")]
    workers: Option<NonZeroUsize>,
    /// Bytes of the request ring, for instance 64MiB.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive, default_value = "16MiB")]
    ring: u64,
    /// Bytes of the client's metadata block.
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "4096")]
    metadata: u64,
    /// Permission bits of the channel in octal; 660 lets the group call, 666 everyone [default:
    /// 600, or what ZEROBUFFER_MODE says].
    #[arg(long, value_parser = parse_mode)]
    mode: Option<u32>,
    /// Trust the clients of another user: that user's number, or any. Without it only your own and
    /// root's are trusted, since a client reads every response.
    #[arg(long, value_name = "USER")]
    owner: Option<Owner>,
    /// Let processes of other Windows sessions find the channel, which needs the privilege
    /// `SeCreateGlobalPrivilege`; elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let buffer =
        with_mode(BufferConfig::ring(args.ring).metadata(args.metadata).global(args.global), args.mode);
    let mut config =
        ServerConfig::default().buffer(buffer).owner(args.owner.unwrap_or_default()).on_error(report);
    if let Some(clients) = args.clients {
        config = config.clients(clients.get());
    }
    if let Some(workers) = args.workers.or(args.clients).filter(|workers| workers.get() > 1) {
        config = config.mode(ProcessingMode::ThreadPool(workers));
    }
    let server = Server::new(&args.name, config);
    let (program, time) = (args.exec.clone(), args.timeout);
    let programs = Arc::new(Programs::default());
    let running = Arc::clone(&programs);
    let started = server.start(move |request, mut response| {
        let room = response.buffer().capacity().saturating_sub(zerobuffer::FRAME_HEADER_SIZE);
        let limits = Limits { time, output: room };
        let wanted = || response.is_client_connected();
        let output = answer::run(&running, &program, request.data(), &limits, wanted)?;
        response.write(&output)?;
        Ok(())
    });
    started.map_err(|error| channel::fail(&args.name, Role::Server, error))?;
    say::note(&format!("serving channel '{}' with: {}", args.name, args.exec));
    while !signals::sleep(Duration::from_secs(3600)) {}
    if !server.drain(GRACE) {
        programs.end(GRACE);
        // A handler may still have to say how its program ended.
        server.wait(Some(GRACE));
    }
    Err(signals::interrupted(&format!("channel '{}' is closed", args.name)))
}

/// Says what has gone wrong; the server goes on.
fn report(failure: &Failure) {
    match failure {
        // Every call ends like that.
        Failure::ClientGone { .. } => {}
        Failure::Handler { channel, request, source } => {
            say::error(&format!("channel '{channel}', request {request}: {source}"));
        }
        _ => say::error(&failure.to_string()),
    }
}
