//! Live buffers, looked at from outside: their state over time, metrics, and a web page with their
//! pictures.
//!
//! Everything here observes only. A stream's ends neither do nor notice anything: frames are copied
//! through [`zerobuffer::observe::Tap`], state through [`zerobuffer::observe::inspect`].
//!
//! ```no_run
//! use zerobuffer_view::{Options, serve};
//!
//! let viewer = serve(&Options::new("127.0.0.1:8080".parse()?))?;
//! println!("{}", viewer.url());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod assets;
mod describe;
mod encode;
mod error;
mod feed;
mod guard;
pub mod http;
pub mod live;
pub mod metrics;
mod mjpeg;
mod picture;
pub mod pixels;
mod routes;
mod snapshot;
mod socket;
mod source;
mod streams;
mod token;
mod viewer;

pub use error::Error;
pub use guard::Guard;
pub use token::Token;
pub use viewer::{Options, Viewer, serve};
