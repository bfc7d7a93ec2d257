//! Names for one execution each, and the check that nothing of them is left.

use crate::damage::objects;
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

/// A name that no other execution and no other process has.
pub(crate) fn name(target: &str) -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}fuzz-{target}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

/// All files of a buffer.
fn files(name: &str) -> Vec<PathBuf> {
    let lock = format!("{name}.lock");
    let locks = [
        PathBuf::from("/tmp/zerobuffer").join(&lock),
        PathBuf::from("/tmp/zerobuffer/locks").join(&lock),
        std::env::temp_dir().join("zerobuffer/locks").join(&lock),
    ];
    objects(name).into_iter().chain(locks).collect()
}

/// Panics, naming it, if a file of the buffer exists.
pub(crate) fn assert_gone(name: &str) {
    let left: Vec<PathBuf> = files(name).into_iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Removes what a hostile script may have left: a reader whose number was overwritten keeps its
/// hands off.
pub(crate) fn sweep(name: &str) {
    for path in files(name) {
        let _ = fs::remove_file(path);
    }
}
