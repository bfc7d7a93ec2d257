//! `zerobuffer call`: one request to a channel, and its response.
use std::io::{Read as _, Write as _};
use std::time::Duration;

use zerobuffer::Error;
use zerobuffer::duplex::{Client, ClientConfig};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{os, signals, size, time};

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
    /// Bytes of the response ring, which is reserved at once: the largest response is 16 bytes less.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive, default_value = "16MiB")]
    response_size: u64,
    /// Let processes of other Windows sessions find the response buffer, which needs the privilege `SeCreateGlobalPrivilege`;
    /// elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
    /// Metadata for the server: a file.
    #[arg(long, value_name = "FILE")]
    metadata: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| Fail::io(format_args!("cannot read {path}"), &error))
    };
    let request = if args.input == "-" { read_standard_input()? } else { read(&args.input)? };
    // Not before: while the request is read, a signal simply ends the command.
    signals::install()?;
    let config = ClientConfig::default()
        .response_size(args.response_size)
        .connect_timeout(args.wait)
        .global(args.global);
    let client = Client::connect_with(&args.name, config).map_err(|error| absent(args, error))?;
    if let Some(path) = &args.metadata {
        client.set_metadata(&read(path)?)?;
    }
    let (requests, responses) = (client.request_buffer(), client.response_buffer());
    signals::on_signal(move || {
        requests.interrupt();
        responses.interrupt();
    });
    let response = match client.call(&request, args.timeout) {
        Err(_) if signals::caught().is_some() => return Err(signals::interrupted("no response")),
        Err(Error::NoResponse { .. }) => {
            let waited = format!("no response from channel {} within {:?}", args.name, args.timeout);
            return Err(Fail::new(Exit::Timeout, waited));
        }
        other => other?,
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(response.data()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Fail::quiet(Exit::BrokenPipe)),
        Err(error) => Err(Fail::io("cannot write standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// From where it stands: what was read of it before is no part of the request.
fn read_standard_input() -> Result<Vec<u8>, Fail> {
    let mut request = Vec::new();
    os::standard_input()
        .and_then(|mut input| input.read_to_end(&mut request))
        .map_err(|error| Fail::io("cannot read standard input", &error))?;
    Ok(request)
}

fn absent(args: &Args, error: Error) -> Fail {
    let is_absent = matches!(error, Error::NotFound { .. });
    let fail = Fail::from(error);
    if !is_absent {
        return fail;
    }
    let name = &args.name;
    fail.hint(format_args!(
        "channel {name} has no server: start one with `zerobuffer serve {name} --exec COMMAND`, or wait longer with --wait SECONDS"
    ))
}
