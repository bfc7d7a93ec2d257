//! `zerobuffer clean`: what dead processes left behind.
use std::path::PathBuf;

use serde::Serialize;
use zerobuffer::Error;
use zerobuffer::observe::{self, Orphan, Owner};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{os, output, say, size, text};

/// Show what your own dead processes left behind in shared memory; remove it only with --yes.
// Each one is an option of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these buffers; all of them if none is named.
    names: Vec<String>,
    /// Remove what is shown. Each one is judged again first: what has come to life stays.
    #[arg(long)]
    yes: bool,
    /// Also what may be in use: buffers of other implementations that nothing proves dead.
    #[arg(long)]
    force: bool,
    /// What this user's processes left behind, by name or number; only root removes another user's.
    #[arg(long, value_name = "USER", conflicts_with = "all_users")]
    user: Option<String>,
    /// What all users' processes left behind; only root removes it.
    #[arg(long)]
    all_users: bool,
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
    uid: u32,
    /// Nothing proves that it is dead: it is removed only with `--force`.
    unproven: bool,
    objects: Vec<PathBuf>,
    /// What was removed; empty without `--yes`.
    removed: Vec<PathBuf>,
    /// Why it could not be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let owner = owner(args)?;
    let orphans = observe::orphans_of(owner)?;
    let wanted = |orphan: &Orphan| args.names.is_empty() || args.names.contains(&orphan.name);
    let views: Vec<OrphanView> =
        orphans.iter().filter(|orphan| wanted(orphan)).map(|orphan| treat(orphan, args)).collect();
    let unseen = args.names.iter().filter(|name| views.iter().all(|view| view.name != **name));
    let out_of_reach = unseen.map(|name| out_of_reach(name)).collect::<Result<Vec<_>, Fail>>()?;
    let out_of_reach = out_of_reach.into_iter().flatten().next();
    if args.json {
        output::print_json(&views)?;
    } else if out_of_reach.is_none() || !views.is_empty() {
        show(&views, args)?;
    }
    let failed: Vec<&OrphanView> = views.iter().filter(|view| view.error.is_some()).collect();
    match (failed.first(), out_of_reach) {
        (None, None) => Ok(()),
        (None, Some(reason)) => Err(Fail::new(Exit::Resources, reason)),
        (Some(first), _) => Err(Fail::new(
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

/// Whose leftovers are meant.
fn owner(args: &Args) -> Result<Owner, Fail> {
    let owner =
        match &args.user {
            _ if args.all_users => Owner::Everybody,
            None => return Ok(Owner::Caller),
            Some(user) => Owner::User(os::user_id(user).ok_or_else(|| {
                Fail::new(Exit::Usage, format!("there is no user '{user}' on this machine"))
            })?),
        };
    if args.yes && !os::may_act_for(owner) {
        let message = "only root removes what other users' processes left behind";
        return Err(Fail::new(Exit::Resources, message));
    }
    Ok(owner)
}

/// Why nothing is said of a name that was asked for, if not because nothing is left of it.
fn out_of_reach(name: &str) -> Result<Option<String>, Fail> {
    if let Err(error) = observe::inspect(name) {
        match error {
            Error::PermissionDenied { .. } => {
                return Ok(Some(format!("no permission to look at '{name}': it is another user's")));
            }
            Error::InvalidName { .. } => return Err(error.into()),
            _ => {}
        }
    }
    let others = observe::orphans_of(Owner::Everybody)?.into_iter().find(|orphan| orphan.name == name);
    Ok(others.map(|orphan| {
        let uid = orphan.uid;
        format!("'{name}' was left behind by user {uid}: that user removes it, or root with --user {uid}")
    }))
}

fn treat(orphan: &Orphan, args: &Args) -> OrphanView {
    let mut view = OrphanView {
        name: orphan.name.clone(),
        bytes: orphan.bytes,
        reason: orphan.reason.clone(),
        uid: orphan.uid,
        unproven: orphan.unproven,
        objects: orphan.objects.clone(),
        removed: Vec::new(),
        error: None,
    };
    if args.yes && (args.force || !orphan.unproven) {
        let removed = if args.force { observe::remove_unproven(orphan) } else { observe::remove(orphan) };
        match removed {
            Ok(removed) => view.removed = removed,
            Err(error) => view.error = Some(error.to_string()),
        }
    }
    view
}

fn show(views: &[OrphanView], args: &Args) -> Result<(), Fail> {
    let remove = args.yes;
    if views.is_empty() {
        say::note("nothing is left behind by dead processes");
        return Ok(());
    }
    let mut page = String::new();
    for view in views {
        let verb = match (remove, view.removed.is_empty(), view.unproven) {
            (true, false, _) => "removed",
            (_, _, true) => "unknown",
            (false, _, false) => "dead",
            (true, true, false) => "kept",
        };
        page.push_str(&text::one_line(&format!(
            "{verb}  {}  {}  {}",
            view.name,
            size::human(view.bytes),
            view.reason
        )));
        page.push('\n');
        let objects = if verb == "removed" { &view.removed } else { &view.objects };
        for object in objects {
            page.push_str("      ");
            page.push_str(&text::one_line(&object.to_string_lossy()));
            page.push('\n');
        }
    }
    output::print(&page)?;
    if !remove {
        let bytes = views.iter().fold(0u64, |sum, view| sum.saturating_add(view.bytes));
        say::note(&format!("{} in all; remove with: {}", size::human(bytes), advice(args)));
    }
    if !args.force && views.iter().any(|view| view.unproven) {
        say::note("nothing proves that the unknown ones are dead; if you know it: --force");
    }
    Ok(())
}

/// The command that removes what was shown, and nothing else.
fn advice(args: &Args) -> String {
    let mut words = vec![String::from("zerobuffer clean")];
    words.extend(args.names.iter().map(|name| text::one_line(name)));
    words.extend(args.user.iter().map(|user| format!("--user {}", text::one_line(user))));
    words.extend(args.all_users.then(|| String::from("--all-users")));
    words.extend(args.force.then(|| String::from("--force")));
    words.push(String::from("--yes"));
    words.join(" ")
}
