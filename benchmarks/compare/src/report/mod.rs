//! What becomes of results: text for the terminal, tables and plots for the record.

mod plots;
pub(crate) mod record;
pub(crate) mod show;
mod svg;
mod tables;
pub(crate) mod targets;

use std::path::Path;

use anyhow::Result;
use record::Record;

/// Adds new results to the folder's record, and writes its tables and plots.
pub(crate) fn write(folder: &Path, new: Option<Record>) -> Result<()> {
    let record = match (Record::load(folder), new) {
        (Ok(mut old), Some(new)) => {
            old.merge(new);
            old
        }
        (Err(_), Some(new)) if !folder.join("results.json").exists() => new,
        (old, _) => old?,
    };
    record.save(folder)?;
    let plots = plots::write(folder, &record)?;
    std::fs::write(folder.join("README.md"), tables::page(&record, &plots))?;
    Ok(())
}
