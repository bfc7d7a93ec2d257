//! The tests are in `tests/async`; a package has to have something beside them.

/// The examples of the page on futures, run with the doc tests: they need tokio.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/async.md")]
struct AsyncExamples;
