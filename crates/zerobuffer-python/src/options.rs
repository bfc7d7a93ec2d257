//! Keyword options that are words in Python and enums in the core.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zerobuffer::{FullRingPolicy, WaitStrategy};

/// `wait=`: how an endpoint waits for its peer.
pub(crate) fn wait_strategy(word: &str) -> PyResult<WaitStrategy> {
    match word {
        "adaptive" => Ok(WaitStrategy::Adaptive),
        "block" => Ok(WaitStrategy::Block),
        "spin" => Ok(WaitStrategy::Spin),
        _ => Err(unknown("wait", word, "'adaptive', 'block' or 'spin'")),
    }
}

/// `full=`: what a write into a full ring does.
pub(crate) fn full_ring(word: &str) -> PyResult<FullRingPolicy> {
    match word {
        "block" => Ok(FullRingPolicy::Block),
        "refuse" => Ok(FullRingPolicy::Refuse),
        "drop" => Ok(FullRingPolicy::DropNewest),
        _ => Err(unknown("full", word, "'block', 'refuse' or 'drop'")),
    }
}

fn unknown(option: &str, word: &str, choices: &str) -> PyErr {
    PyValueError::new_err(format!("{option}={word:?} is not known: use {choices}"))
}
