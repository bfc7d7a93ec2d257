//! The state of all streams, looked at a few times a second by one thread, for `/api/streams` and
//! `/metrics`.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;
use crate::live::{Live, Poller};

/// How often buffers are looked at: ages are that exact.
const LOOK: Duration = Duration::from_millis(250);

/// Which streams there are.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    names: Arc<[String]>,
    latest: Arc<Mutex<Vec<Live>>>,
}

impl Streams {
    /// Looks from now on, at these or at all, as long as the process runs.
    pub(crate) fn watch(names: &[String]) -> Result<Streams, Error> {
        let mut poller = Poller::new(names);
        let streams = Streams { names: names.into(), latest: Arc::new(Mutex::new(poller.look()?)) };
        let latest = Arc::clone(&streams.latest);
        let watch = move || {
            loop {
                std::thread::sleep(LOOK);
                match poller.look() {
                    Ok(now) => *latest.lock().unwrap_or_else(PoisonError::into_inner) = now,
                    Err(error) => log::warn!("cannot look at the buffers: {error}"),
                }
            }
        };
        let thread = std::thread::Builder::new().name(String::from("streams"));
        thread.spawn(watch).map_err(|source| Error::System { what: "cannot start a thread", source })?;
        Ok(streams)
    }

    /// Whether this one may be shown: those that were named, or any.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|named| named == name)
    }

    pub(crate) fn now(&self) -> Vec<Live> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn json(&self) -> Value {
        json!({"version": env!("CARGO_PKG_VERSION"), "streams": self.now()})
    }
}
