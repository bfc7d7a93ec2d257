//! `zerobuffer metrics`: the state of all buffers for Prometheus.
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zerobuffer_view::Guard;
use zerobuffer_view::http::{self, Exchange, Response, Status};
use zerobuffer_view::live::{Live, Poller};
use zerobuffer_view::metrics::{CONTENT_TYPE, page};

use crate::fail::Fail;
use crate::{output, say, signals};

/// How often buffers are looked at between two scrapes: ages are that exact.
const LOOK: Duration = Duration::from_millis(250);
/// Connections at once; for one more the oldest that says nothing is let go.
const CONNECTIONS: usize = 16;

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
    let (listener, bound) = http::listen(address)?;
    let guard = Guard::new(bound, None);
    http::serve(listener, CONNECTIONS, move |exchange| answer(exchange, &guard, &seen, most))?;
    say::note(&format!("serving http://{bound}/metrics"));
    while !signals::sleep(LOOK) {
        let buffers = poller.look()?;
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = buffers;
    }
    Err(signals::interrupted("the metrics are served no more"))
}

fn answer(exchange: Exchange, guard: &Guard, latest: &Mutex<Vec<Live>>, most: usize) -> io::Result<()> {
    let response = match (guard.check(&exchange.request), exchange.request.path().as_slice()) {
        (Err(refusal), _) => refusal,
        (Ok(()), ["metrics"]) => {
            let buffers = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Response::new(Status::Ok, CONTENT_TYPE, page(&buffers, most).into_bytes())
        }
        (Ok(()), []) => Response::text(Status::Ok, "ZeroBuffer: see /metrics"),
        (Ok(()), _) => Response::text(Status::NotFound, "see /metrics"),
    };
    exchange.respond(&response)
}
