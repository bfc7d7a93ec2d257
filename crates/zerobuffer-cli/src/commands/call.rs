//! `zerobuffer call`: one request to a channel, and its response.
use std::io::Write as _;
use std::time::{Duration, Instant};

use zerobuffer::duplex::{Client, ClientConfig};
use zerobuffer::{Error, FRAME_HEADER_SIZE, Owner, observe};

use super::channel::{self, Role};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::{signals, size, time};

/// Pause between two looks for a server.
const LOOK: Duration = Duration::from_millis(20);

/// Send a request to the duplex channel NAME and print the response.
///
/// The request is standard input, or the file given with --input, up to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: echo hello | zerobuffer call shout")]
pub(crate) struct Args {
    /// The channel's name.
    name: String,
    /// The request: a file, or - for standard input.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    input: String,
    /// Wait at most this long for a server.
    #[arg(long, value_name = "SECONDS", value_parser = time::parse, default_value = "5")]
    wait: Duration,
    /// Wait at most this long for the response.
    #[arg(long, value_name = "SECONDS", value_parser = time::parse, default_value = "10")]
    timeout: Duration,
    /// Bytes of the response ring, which is reserved at once: the largest response is 16 bytes
    /// less.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive, default_value = "16MiB")]
    response_size: u64,
    /// Let processes of other Windows sessions find the response, which needs the privilege
    /// `SeCreateGlobalPrivilege`; elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
    /// Trust the server of another user: that user's number, or any. Without it only your own and
    /// root's are trusted, since it reads every request.
    #[arg(long, value_name = "USER")]
    owner: Option<Owner>,
    /// Metadata for the server: a file.
    #[arg(long, value_name = "FILE")]
    metadata: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let failed = |error: Error| channel::fail(&args.name, Role::Client, error);
    let room = find_server(args)?;
    // Before the client connects: while a person types, others may use the channel.
    let request = Input::for_request(&args.input)?.read_all(room.request)?;
    let Some(request) = request else {
        return Err(Fail::new(Exit::Input, channel::too_large(&args.name, None, room.request)));
    };
    let metadata =
        args.metadata.as_deref().map(|path| read_metadata(args, path, room.metadata)).transpose()?;
    let config = ClientConfig::default()
        .response_size(args.response_size)
        .connect_timeout(args.wait)
        .owner(args.owner.unwrap_or_default())
        .global(args.global);
    let client = Client::connect_with(&args.name, config).map_err(failed)?;
    if let Some(metadata) = metadata {
        client.set_metadata(&metadata).map_err(failed)?;
    }
    let (requests, responses) = (client.request_buffer(), client.response_buffer());
    signals::on_signal(move || {
        requests.interrupt();
        responses.interrupt();
    });
    let response = match client.call(&request, args.timeout) {
        Err(_) if signals::caught().is_some() => return Err(signals::interrupted("no response")),
        other => other.map_err(failed)?,
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(response.data()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Fail::quiet(Exit::BrokenPipe)),
        Err(error) => Err(Fail::io("cannot write to standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// What a channel takes, in bytes.
struct Room {
    request: u64,
    metadata: u64,
}

/// Waits for the server, and sees how much it takes: no more than that is read.
fn find_server(args: &Args) -> Result<Room, Fail> {
    let started = Instant::now();
    loop {
        match observe::inspect(&channel::request_buffer(&args.name)) {
            Ok(info) => {
                return Ok(Room {
                    request: info.payload_size.saturating_sub(FRAME_HEADER_SIZE),
                    metadata: info.metadata_size.saturating_sub(8),
                });
            }
            Err(Error::NotFound { .. }) if started.elapsed() < args.wait => {
                if signals::sleep(LOOK) {
                    let words = format!("no server of channel '{}' came", args.name);
                    return Err(signals::interrupted(&words));
                }
            }
            Err(error) => return Err(channel::fail(&args.name, Role::Client, error)),
        }
    }
}

fn read_metadata(args: &Args, path: &str, room: u64) -> Result<Vec<u8>, Fail> {
    let metadata = Input::open(path)?.read_all(room)?;
    metadata.ok_or_else(|| {
        let words = format!(
            "the metadata in {path} is larger than channel '{}' takes, which is {room} bytes; serve with a larger --metadata BYTES",
            args.name
        );
        Fail::new(Exit::Input, words)
    })
}
