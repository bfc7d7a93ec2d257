//! Tests of the command: each module starts it as a user does. They are one program, linked once.
//! What steps of `cargo xtask test` run by name are programs of their own beside it.

// The tests speak to the command by signals, FIFOs and files of Unix.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../viewer/mod.rs"]
mod viewer;

mod bad_input;
mod bench;
mod clean;
mod command_line;
mod demo;
mod doctor;
mod drops;
mod duplex;
mod foreign;
mod foxglove;
mod metrics;
mod observe;
mod pages;
mod real_video;
mod record;
mod signals;
mod stream;
mod tap;
mod tee;
mod top;
mod tutorial;
mod view_hostile;
