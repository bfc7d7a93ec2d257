//! The viewer as a whole: what it shows, where it listens, who may look.
use std::net::SocketAddr;

use zerobuffer::observe;

use crate::feed::Feeds;
use crate::streams::Streams;
use crate::{Error, Guard, Token, http, routes};

/// Connections that watch at once. A page has one for each picture that it shows.
const CONNECTIONS: usize = 200;

/// What a viewer shows and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen. Port 0: any that is free.
    pub address: SocketAddr,
    /// The buffers to show; all of the machine if none is named.
    pub names: Vec<String>,
    /// What a client has to know. An address that other machines can reach always has one.
    pub token: Option<Token>,
}

impl Options {
    /// All buffers, without a token if the address is a loopback one.
    #[must_use]
    pub fn new(address: SocketAddr) -> Options {
        Options { address, names: Vec::new(), token: None }
    }
}

/// A viewer that runs.
#[derive(Clone, Debug)]
pub struct Viewer {
    address: SocketAddr,
    token: Option<Token>,
}

impl Viewer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token, if it asks for one.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// What to open in a browser of this machine, token included.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let token = self.token.as_ref().map(|token| format!("?token={}", token.as_str()));
        format!("http://{address}/{}", token.unwrap_or_default())
    }
}

/// Serves on threads of its own as long as the process runs.
///
/// # Errors
///
/// [`Error::Buffer`] if a buffer that is named cannot be looked at; why it cannot listen.
pub fn serve(options: &Options) -> Result<Viewer, Error> {
    for name in &options.names {
        observe::inspect(name)?;
    }
    let token = match &options.token {
        None if !options.address.ip().is_loopback() => Some(Token::random()?),
        given => given.clone(),
    };
    let (listener, address) = http::listen(options.address)?;
    let streams = Streams::watch(&options.names)?;
    let guard = Guard::new(address, token.clone());
    let feeds = Feeds::default();
    http::serve(listener, CONNECTIONS, move |exchange| routes::answer(exchange, &guard, &streams, &feeds))?;
    Ok(Viewer { address, token })
}
