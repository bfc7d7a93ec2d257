//! The compiled module `zerobuffer._zerobuffer`: glue between `CPython` and the crate `zerobuffer`,
//! one file per class.
//!
//! Three rules hold throughout. Nothing waits while attached to the interpreter. No Python code
//! runs while a lock of this crate is held, since a finaliser may call back into the same object.
//! Waits are cut into slices so that signals are seen. Unsafe code lives in `pin.rs` alone.
#![deny(unsafe_code)]

mod broadcast;
mod claim;
mod command;
mod duplex_client;
mod duplex_responder;
mod duplex_server;
mod ends;
mod errors;
mod event;
mod frame;
mod input;
mod loan;
mod logging;
mod number;
mod observing;
mod options;
mod picture;
mod pin;
mod reader;
mod receiving;
mod rejoin;
mod response;
mod sending;
mod source;
mod tap;
mod trace;
mod video;
mod wait;
mod writer;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The compiled half of the package `zerobuffer`; import that instead.
#[pymodule(gil_used = false)]
fn _zerobuffer(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The classes and caches of the module exist once per process, in its main interpreter.
    if pin::interpreter_id(module.py())? != 0 {
        return Err(PyImportError::new_err(
            "zerobuffer does not support subinterpreters: import it in the main interpreter",
        ));
    }
    logging::install(module.py())?;
    errors::install(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<response::Response>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<writer::Writer>()?;
    module.add_class::<loan::Loan>()?;
    module.add_class::<tap::Tap>()?;
    module.add_class::<broadcast::Broadcaster>()?;
    module.add_class::<event::Event>()?;
    module.add_class::<event::Bell>()?;
    module.add_class::<duplex_server::DuplexServer>()?;
    module.add_class::<duplex_responder::DuplexResponder>()?;
    module.add_class::<duplex_client::DuplexClient>()?;
    module.add_class::<duplex_client::PendingCall>()?;
    module.add_function(wrap_pyfunction!(duplex_server::serving_threads, module)?)?;
    module.add_function(wrap_pyfunction!(duplex_server::forget_threads, module)?)?;
    module.add_function(wrap_pyfunction!(logging::levels_changed, module)?)?;
    module.add_function(wrap_pyfunction!(command::command, module)?)?;
    module.add_function(wrap_pyfunction!(loan::loan, module)?)?;
    module.add_function(wrap_pyfunction!(picture::describe, module)?)?;
    module.add_function(wrap_pyfunction!(video::picture, module)?)?;
    module.add_function(wrap_pyfunction!(video::announce, module)?)?;
    module.add_function(wrap_pyfunction!(observing::inspect, module)?)?;
    module.add_function(wrap_pyfunction!(observing::list, module)?)?;
    module.add_function(wrap_pyfunction!(observing::left_behind, module)?)?;
    Ok(())
}
