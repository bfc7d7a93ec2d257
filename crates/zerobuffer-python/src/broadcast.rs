//! `BroadcasterBase`: the native half of `zerobuffer.Broadcaster`.

mod turn;

use std::io::IoSlice;
use std::num::NonZeroUsize;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyString};
use zerobuffer::{
    BroadcastConfig, Broadcaster as Core, BroadcasterHandle, Delivery, Error, Patience, SlowPolicy,
};
use zerobuffer_video::Stamp;

use crate::errors::raise;
use crate::input::with_bytes;
use crate::logging::{self, BROADCAST};
use crate::options;
use crate::wait::{Timeout, in_slices, nothing};
use turn::Turns;

/// How long `"block"` waits for a subscriber, as a writer does.
const PATIENT: Duration = Duration::from_secs(5);

/// The native half of `zerobuffer.Broadcaster`.
#[pyclass(frozen, subclass, name = "BroadcasterBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct Broadcaster {
    handle: BroadcasterHandle,
    turns: Turns,
    /// Changed by those only whose turn it is. Held for moments.
    given: Mutex<Given>,
}

/// The metadata that the program has set, and how often it has.
#[derive(Default)]
struct Given {
    times: u64,
    metadata: Vec<u8>,
}

/// A delivery: sent, dropped, gone.
type Sums = (usize, usize, usize);
/// A subscriber: buffer, name, policy, frames, bytes, dropped, waits, seconds blocked, utilization,
/// problem.
type Row = (String, String, String, u64, u64, u64, u64, f64, f64, Option<String>);

#[pymethods]
impl Broadcaster {
    #[new]
    #[pyo3(signature = (name, policy, policies, owner, wait, max_subscribers))]
    fn new(
        py: Python<'_>,
        name: &str,
        policy: &Bound<'_, PyAny>,
        policies: Vec<(String, Bound<'_, PyAny>)>,
        owner: Option<&Bound<'_, PyAny>>,
        wait: &str,
        max_subscribers: usize,
    ) -> PyResult<Self> {
        let most = NonZeroUsize::new(max_subscribers)
            .ok_or_else(|| PyValueError::new_err("max_subscribers must be at least 1"))?;
        let mut config = BroadcastConfig::default()
            .policy(slow_policy(policy)?)
            .owner(options::owner(owner)?)
            .wait(options::wait_strategy(wait)?)
            .max_subscribers(most);
        for (subscriber, policy) in policies {
            config = config.policy_for(&subscriber, slow_policy(&policy)?);
        }
        if BROADCAST.debugging(py)? {
            BROADCAST.debug(py, &format!("Starting broadcast: name='{name}'"))?;
        }
        let core = py.detach(|| Core::with_config(name, config));
        logging::flush(py)?;
        match core {
            Ok(core) => {
                Ok(Self { handle: core.handle(), turns: Turns::new(name, core), given: Mutex::default() })
            }
            Err(error) => {
                BROADCAST.error(py, &format!("Cannot start the broadcast '{name}': {error}"))?;
                Err(raise(error))
            }
        }
    }

    /// Copies a frame to all subscribers: how many got it, miss it, are gone. With a `timestamp` a
    /// stamp stands in front of it. With `metadata` these are set before. None, and nothing is
    /// done, if the program has set metadata more often than `times` by then.
    #[pyo3(signature = (data, timestamp, metadata, times))]
    fn _write(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        timestamp: Option<u64>,
        metadata: Option<&[u8]>,
        times: Option<u64>,
    ) -> PyResult<Option<Sums>> {
        let delivery = with_bytes(data, |bytes| {
            self.turns.take(py, |core, patience| {
                if times.is_some_and(|times| times != self.given.lock().times) {
                    return Ok(None);
                }
                if let Some(metadata) = metadata.filter(|_| timestamp.is_some() || !bytes.is_empty()) {
                    core.set_metadata(metadata)?;
                }
                write(core, bytes, timestamp, patience).map(Some)
            })
        })?;
        Ok(delivery.map(|delivery| (delivery.sent, delivery.dropped, delivery.gone)))
    }

    /// Sets the metadata, for those that are there and those that come.
    fn set_metadata(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        with_bytes(data, |bytes| {
            self.turns.take(py, |core, _| {
                core.set_metadata(bytes)?;
                let mut given = self.given.lock();
                *given = Given { times: given.times + 1, metadata: bytes.to_vec() };
                Ok(())
            })
        })
    }

    /// How often the program has set metadata, and the last ones; None if that is `times`.
    fn _metadata_since<'py>(
        &self,
        py: Python<'py>,
        times: u64,
    ) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        self.turns.refuse_fork()?;
        let given = self.given.lock();
        Ok((given.times != times).then(|| (given.times, PyBytes::new(py, &given.metadata))))
    }

    /// Waits until there are so many subscribers; False if there are not in time.
    #[pyo3(signature = (count = 1, timeout = Some(5.0)), text_signature = "($self, count=1, timeout=5.0)")]
    fn wait_for_subscribers(&self, py: Python<'_>, count: usize, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = Timeout::from_seconds(timeout)?.start();
        let slice = || {
            let there = self.handle.wait_for_subscribers(count, deadline.slice())?;
            Ok(there.then_some(()))
        };
        Ok(in_slices(py, &deadline, slice, nothing)?.is_some())
    }

    /// What each subscriber has got.
    fn _subscribers(&self, py: Python<'_>) -> PyResult<Vec<Row>> {
        self.turns.refuse_fork()?;
        let rows = py.detach(|| self.handle.subscribers());
        logging::flush(py)?;
        let row = |one: zerobuffer::Subscriber| {
            let stats = one.stats;
            let blocked = stats.blocked.as_secs_f64();
            let (frames, bytes, dropped, waits) = (stats.frames, stats.bytes, stats.dropped, stats.waits);
            let policy = in_words(one.policy);
            (
                one.buffer,
                one.name,
                policy,
                frames,
                bytes,
                dropped,
                waits,
                blocked,
                one.utilization,
                one.problem,
            )
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// (frames, bytes, sent, dropped, joined, left, disconnected).
    fn _stats(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, u64, u64)> {
        let stats = py.detach(|| self.handle.stats());
        logging::flush(py)?;
        let (sent, dropped) = (stats.sent, stats.dropped);
        Ok((stats.frames, stats.bytes, sent, dropped, stats.joined, stats.left, stats.disconnected))
    }

    /// The name of the broadcast.
    #[getter]
    fn name(&self) -> &str {
        self.handle.name()
    }

    /// Whether `close` has run.
    #[getter]
    fn closed(&self) -> bool {
        self.turns.is_closed()
    }

    /// Ends the broadcast; a blocked call of another thread ends at once. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.turns.close(&self.handle));
        logging::flush(py)
    }
}

fn write(
    core: &mut Core,
    bytes: &[u8],
    timestamp: Option<u64>,
    patience: &mut Patience<'_>,
) -> Result<Delivery, Error> {
    if timestamp.is_none() {
        return core.write_with(bytes, patience);
    }
    // The number that the frame has here: a subscriber sees from it what it has missed.
    let number = core.stats().frames.wrapping_add(1);
    let stamp = Stamp { number: Some(number), time_ns: timestamp, exposure_us: None }.to_bytes();
    core.write_vectored_with(&[IoSlice::new(&stamp), IoSlice::new(bytes)], patience)
}

/// `"drop"`, `"disconnect"`, `"block"`, or how many seconds it is waited for.
fn slow_policy(given: &Bound<'_, PyAny>) -> PyResult<SlowPolicy> {
    let wrong = || {
        let given = given.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
        format!(
            "policy={given} is not known: use 'drop', 'disconnect', 'block' or a number of seconds above 0"
        )
    };
    if let Ok(word) = given.cast::<PyString>() {
        return match word.to_str()? {
            "drop" => Ok(SlowPolicy::Drop),
            "disconnect" => Ok(SlowPolicy::Disconnect),
            "block" => Ok(SlowPolicy::Block(PATIENT)),
            _ => Err(PyValueError::new_err(wrong())),
        };
    }
    if given.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err(wrong()));
    }
    let Ok(seconds) = given.extract::<f64>() else { return Err(PyTypeError::new_err(wrong())) };
    if seconds.is_nan() || seconds <= 0.0 {
        return Err(PyValueError::new_err(wrong()));
    }
    Ok(SlowPolicy::Block(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

fn in_words(policy: SlowPolicy) -> String {
    match policy {
        SlowPolicy::Drop => "drop".to_owned(),
        SlowPolicy::Disconnect => "disconnect".to_owned(),
        SlowPolicy::Block(limit) => format!("block {limit:?}"),
        _ => "another".to_owned(),
    }
}
