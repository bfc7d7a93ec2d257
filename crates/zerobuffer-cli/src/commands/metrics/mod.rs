//! `zerobuffer metrics`: the state of all buffers for Prometheus.
mod exposition;
mod http;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zerobuffer::observe;

use crate::fail::Fail;
use crate::live::{Live, Poller};
use crate::{output, say, signals};

/// How often buffers are looked at between two scrapes: ages are that exact.
const LOOK: Duration = Duration::from_millis(250);

/// Print the state of all buffers for Prometheus, or serve it; the buffers' programs need nothing
/// for that.
///
/// Once, for the textfile collector of node_exporter, or at --listen for ever.
/// docs/grafana-dashboard.json shows the result. Anyone who can reach the address can read the
/// names of buffers: by default nothing listens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer metrics --listen 127.0.0.1:9464")]
pub(crate) struct Args {
    /// Only these buffers; all of them if none is named.
    names: Vec<String>,
    /// Serve at http://ADDRESS/metrics until stopped, instead of printing once.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Show at most so many buffers: each is a set of time series.
    #[arg(long, value_name = "COUNT", default_value = "1000")]
    max_buffers: usize,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut poller = Poller::new(&args.names);
    let Some(address) = args.listen else {
        return output::print(&page(&poller.look()?, args.max_buffers));
    };
    let latest = Arc::new(Mutex::new(poller.look()?));
    let (seen, most) = (Arc::clone(&latest), args.max_buffers);
    let bound = http::serve(address, move || {
        let buffers = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        page(&buffers, most)
    })?;
    say::note(&format!("serving http://{bound}/metrics"));
    while !signals::sleep(LOOK) {
        let buffers = poller.look()?;
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = buffers;
    }
    Err(signals::interrupted("the metrics are served no more"))
}

fn page(buffers: &[Live], most: usize) -> String {
    // Whether this can be looked at is no reason to show nothing.
    let orphans = observe::orphans().ok().map(|orphans| orphans.len());
    exposition::text(buffers, most, orphans)
}
