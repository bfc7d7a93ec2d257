//! The commands, one file each: its options and what it does.
pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod demo;
mod end;
pub(crate) mod inspect;
pub(crate) mod ls;
mod programs;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod serve;
mod view;
