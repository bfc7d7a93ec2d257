//! The `zerobuffer` command.
fn main() {}
