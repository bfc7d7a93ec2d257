//! `zerobuffer view`: live streams in the browser.
use std::net::SocketAddr;
use std::time::Duration;

use zerobuffer_view::{Options, Token, serve};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{say, signals};

/// A token of one's own, where one is needed: arguments can be read by every user of the machine.
const TOKEN: &str = "ZEROBUFFER_VIEW_TOKEN";

/// Show live streams in the browser; looking never disturbs them.
///
/// The page shows all streams, and each one by itself: its picture, the value of each pixel, rates,
/// ages, caps. Frames that are no pictures are shown as bytes and numbers. For other programs there
/// are /stream/NAME.mjpeg, /snapshot/NAME.jpg, .png and .raw, /api/streams and /metrics.
///
/// An address that other machines can reach asks for a token, which is part of the address that is
/// printed. It is another one each time, unless ZEROBUFFER_VIEW_TOKEN holds one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  zerobuffer view\n  zerobuffer view camera --listen 127.0.0.1:9000\n  \
    python3 -c 'import cv2; print(cv2.VideoCapture(\"http://127.0.0.1:8080/stream/camera.mjpeg\").read())'")]
pub(crate) struct Args {
    /// Only these buffers, which must be there; all that there are, now and later, if none is
    /// named.
    names: Vec<String>,
    /// Where to serve the page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Ask for a token at a loopback address too: other users of this machine can reach it.
    #[arg(long)]
    token: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut options = Options::new(args.listen);
    options.names.clone_from(&args.names);
    options.token = token(args)?;
    let viewer = serve(&options).map_err(|error| match error {
        zerobuffer_view::Error::Buffer(error @ zerobuffer::Error::NotFound { .. }) => {
            Fail::from(error).hint("without names `zerobuffer view` shows buffers as they come")
        }
        error => Fail::from(error),
    })?;
    say::note(&format!("open {} in a browser; Ctrl-C ends it", viewer.url()));
    if viewer.address().ip().is_unspecified() {
        say::note("from another machine, use this machine's name or address in place of 127.0.0.1");
    }
    while !signals::sleep(Duration::from_secs(3600)) {}
    Err(signals::interrupted("the viewer is closed"))
}

/// The token that a person has chosen, or one that is asked for.
fn token(args: &Args) -> Result<Option<Token>, Fail> {
    use std::env::VarError;
    match std::env::var(TOKEN) {
        Ok(text) => {
            Token::new(&text).map(Some).map_err(|why| Fail::new(Exit::Usage, format!("{TOKEN}: {why}")))
        }
        Err(VarError::NotUnicode(_)) => Err(Fail::new(Exit::Usage, format!("{TOKEN}: it is no UTF-8"))),
        Err(VarError::NotPresent) if args.token => Ok(Some(Token::random()?)),
        Err(VarError::NotPresent) => Ok(None),
    }
}
