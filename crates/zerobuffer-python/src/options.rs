//! Keyword options that are words in Python and enums in the core.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zerobuffer::{FullRingPolicy, Owner, WaitStrategy};

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

/// `owner=`: whose buffers are attached to: a word, or a user by number.
pub(crate) fn owner(given: Option<&Bound<'_, PyAny>>) -> PyResult<Owner> {
    let Some(given) = given else { return Ok(Owner::default()) };
    if let Ok(user) = given.extract::<u32>() {
        return Ok(Owner::User(user));
    }
    match given.extract::<String>() {
        Ok(word) if word == "trusted" => Ok(Owner::Trusted),
        Ok(word) if word == "any" => Ok(Owner::Any),
        _ => Err(PyValueError::new_err(format!(
            "owner={} is not known: use 'trusted', 'any' or the number of a user",
            given.repr()?
        ))),
    }
}

fn unknown(option: &str, word: &str, choices: &str) -> PyErr {
    PyValueError::new_err(format!("{option}={word:?} is not known: use {choices}"))
}
