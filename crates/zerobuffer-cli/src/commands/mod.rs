//! The commands, one file each: its options and what it does.
mod answer;
pub(crate) mod bench;
pub(crate) mod call;
mod channel;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod demo;
mod end;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod metrics;
mod programs;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod top;
mod view;
