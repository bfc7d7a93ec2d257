//! Every store of the ring, found in its sources: a run that has not ended a process at one of them
//! says so.

use anyhow::{Context as _, Result};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What changes shared memory.
const STORES: [&str; 9] = [
    "region.native_store(",
    "region.native_add(",
    "region.store(",
    "region.add(",
    "region.add_as(",
    "region.subtract_as(",
    "region.exchange",
    "region.put_header(",
    "region.zero(",
];
/// Stores that no script comes to, by a part of their line, with the reason.
const ELSEWHERE: [(&str, &str, &str); 8] = [
    ("native/enter.rs", "region.add(Word::PayloadFree, capacity)", "an intruder in the middle of an attach"),
    ("native/enter.rs", ", 0, ", "adds nothing"),
    ("legacy/usable.rs", "region.add(Word::PayloadFree, bytes)", "a hostile `free`"),
    ("legacy/writing.rs", "region.zero(", "a short tail that a legacy writer left"),
    ("ring/metadata.rs", "METADATA_GENERATION, generation + 1", "a client that follows a closed one"),
    ("ring/metadata.rs", "METADATA_FROM, 0", "a writer that dies before its metadata"),
    ("ring/consumer.rs", "native_add(NativeWord::FORM, 0", "adds nothing"),
    ("consumer/legacy.rs", "native_add(NativeWord::FORM, 0", "adds nothing"),
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../zerobuffer/src/ring")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The places of all stores, as passages name them, without the side; and their lines.
fn all() -> Result<Vec<(String, String)>> {
    let (root, mut paths, mut stores) = (sources(), Vec::new(), Vec::new());
    files(&root, &mut paths)?;
    for path in paths {
        let file = path.strip_prefix(&root)?.display().to_string();
        let text = fs::read_to_string(&path)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()) {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && STORES.iter().any(|store| line.contains(store)) {
                stores.push((format!("ring/{file}:{number}"), line.trim().to_owned()));
            }
        }
    }
    Ok(stores)
}

/// Stores at which no process was ended, among the places at which some were.
pub(super) fn missed(places: &BTreeSet<String>) -> Result<Vec<String>> {
    let is_reached = |store: &str| places.iter().any(|place| place.ends_with(store));
    let is_elsewhere = |store: &str, line: &str| {
        ELSEWHERE.iter().any(|(file, part, _)| store.contains(file) && line.contains(part))
    };
    let stores = all()?;
    let missed = stores.into_iter().filter(|(store, line)| !is_reached(store) && !is_elsewhere(store, line));
    Ok(missed.map(|(store, line)| format!("{store}: {line}")).collect())
}

/// Where a writer has stored the number of a jump, and not yet published the frame that it is for.
pub(super) fn jump() -> Result<String> {
    after("native/writing.rs", "native_store(NativeWord::JUMPS")
}

/// Where a writer in legacy form has charged for a frame, and not yet published it.
pub(super) fn charge() -> Result<String> {
    after("legacy/usable.rs", "subtract_as(Word::PayloadFree")
}

fn after(file: &str, part: &str) -> Result<String> {
    let found = all()?.into_iter().find(|(store, line)| store.contains(file) && line.contains(part));
    let (store, _) = found.with_context(|| format!("no `{part}` in {file}"))?;
    Ok(format!("after crates/zerobuffer/src/{store}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_of_the_ring_are_found() {
        let stores = all().unwrap();
        assert!(stores.len() > 20, "{stores:?}");
        assert!(charge().unwrap().starts_with("after crates/zerobuffer/src/ring/legacy/usable.rs:"));
        assert!(jump().unwrap().starts_with("after crates/zerobuffer/src/ring/native/writing.rs:"));
        for (file, part, reason) in ELSEWHERE {
            let found = stores.iter().any(|(store, line)| store.contains(file) && line.contains(part));
            assert!(found, "{file}: {part} ({reason}) is no store any more");
        }
    }
}
