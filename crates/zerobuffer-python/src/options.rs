//! Keyword options that are words in Python and enums in the core.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zerobuffer::{FullRingPolicy, HotWrap, WaitStrategy};

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

/// `hot_wrap=`: whether the writer goes back to the start of the ring early.
pub(crate) fn hot_wrap(word: &str) -> PyResult<HotWrap> {
    match word {
        "auto" => Ok(HotWrap::Auto),
        "off" => Ok(HotWrap::Off),
        "eager" => Ok(HotWrap::Eager),
        _ => Err(unknown("hot_wrap", word, "'auto', 'off' or 'eager'")),
    }
}

fn unknown(option: &str, word: &str, choices: &str) -> PyErr {
    PyValueError::new_err(format!("{option}={word:?} is not known: use {choices}"))
}
