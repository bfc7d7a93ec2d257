//! `zerobuffer clean`: what dead processes left behind.
use std::path::PathBuf;

use serde::Serialize;
use zerobuffer::observe::{self, Orphan};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{output, say, size, text};

/// Show what dead processes left behind in shared memory; remove it only with --yes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these buffers; all of them if none is named.
    names: Vec<String>,
    /// Remove what is shown. Each one is judged again first: what has come to life stays.
    #[arg(long)]
    yes: bool,
    /// Print JSON: an array of objects.
    #[arg(long)]
    json: bool,
}

/// One left-over, as `--json` prints it.
#[derive(Debug, Serialize)]
struct OrphanView {
    name: String,
    bytes: u64,
    reason: String,
    objects: Vec<PathBuf>,
    /// What was removed; empty without `--yes`.
    removed: Vec<PathBuf>,
    /// Why it could not be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let orphans = observe::orphans()?;
    let wanted = |orphan: &Orphan| args.names.is_empty() || args.names.contains(&orphan.name);
    let views: Vec<OrphanView> =
        orphans.iter().filter(|orphan| wanted(orphan)).map(|orphan| treat(orphan, args.yes)).collect();
    if args.json {
        output::print_json(&views)?;
    } else {
        show(&views, args.yes)?;
    }
    let failed: Vec<&OrphanView> = views.iter().filter(|view| view.error.is_some()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Fail::new(
            Exit::Resources,
            format!(
                "{} of {} could not be removed, first '{}': {}",
                failed.len(),
                views.len(),
                first.name,
                first.error.as_deref().unwrap_or_default()
            ),
        )),
    }
}

fn treat(orphan: &Orphan, remove: bool) -> OrphanView {
    let mut view = OrphanView {
        name: orphan.name.clone(),
        bytes: orphan.bytes,
        reason: orphan.reason.clone(),
        objects: orphan.objects.clone(),
        removed: Vec::new(),
        error: None,
    };
    if remove {
        match observe::remove(orphan) {
            Ok(removed) => view.removed = removed,
            Err(error) => view.error = Some(error.to_string()),
        }
    }
    view
}

fn show(views: &[OrphanView], remove: bool) -> Result<(), Fail> {
    if views.is_empty() {
        say::note("nothing is left behind by dead processes");
        return Ok(());
    }
    let mut page = String::new();
    for view in views {
        let verb = match (remove, view.removed.is_empty()) {
            (false, _) => "dead",
            (true, false) => "removed",
            (true, true) => "kept",
        };
        page.push_str(&text::one_line(&format!(
            "{verb}  {}  {}  {}",
            view.name,
            size::human(view.bytes),
            view.reason
        )));
        page.push('\n');
        let objects = if remove { &view.removed } else { &view.objects };
        for object in objects {
            page.push_str("      ");
            page.push_str(&text::one_line(&object.to_string_lossy()));
            page.push('\n');
        }
    }
    output::print(&page)?;
    if !remove {
        let bytes = views.iter().fold(0u64, |sum, view| sum.saturating_add(view.bytes));
        say::note(&format!("{} in all; remove with: zerobuffer clean --yes", size::human(bytes)));
    }
    Ok(())
}
